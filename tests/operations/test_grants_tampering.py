"""Whatever is changed of a signed request on its way, nothing is run."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from operations.models import Operation
from tests.factories import make_grant
from tests.operations.signing import Account, asking, send, signed

pytestmark = pytest.mark.django_db
tampering = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.fixture
def body(settings):
    settings.TRINITY_ADDRESS_RATE = settings.TRINITY_SIGNER_RATE = 10**6
    account = Account()
    grant = make_grant(
        command=["say", "{text}"], parameters={"text": {"type": "text"}}, signers=[account.address]
    )
    return signed(account, asking(grant, text="hello"))


@tampering
@given(data=st.data())
def test_a_changed_digit_of_the_signature(body, data):
    good = body["app_signature"]
    # Of r, of s, and of v: first, last and others.
    at = data.draw(st.sampled_from([2, 3, 33, 65, 66, 67, 97, 128, 129, 130, 131]))
    digit = data.draw(st.sampled_from("0123456789abcdef").filter(lambda each: each != good[at]))
    changed = good[:at] + digit + good[at + 1 :]
    answer = send(body | {"app_signature": changed})
    assert answer.status_code in {401, 403}
    assert not Operation.objects.exists()


@tampering
@given(data=st.data())
def test_a_changed_character_of_the_text(body, data):
    good = body["operation_request_json"]
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != good[at]))
    changed = good[:at] + other + good[at + 1 :]
    answer = send(body | {"operation_request_json": changed})
    assert answer.status_code in {401, 403, 404, 422}
    assert not Operation.objects.exists()


@tampering
@given(added=st.sampled_from([" ", "\n", "\t", "\r\n", " \n "]), before=st.booleans())
def test_space_that_means_nothing_to_json(body, added, before):
    good = body["operation_request_json"]
    changed = added + good if before else good + added
    answer = send(body | {"operation_request_json": changed})
    assert answer.status_code in {401, 403}
    assert not Operation.objects.exists()


def test_the_request_itself_is_good(body):
    assert send(body).status_code == 202
