"""A signed text is acted on once, however often and by whomever it is sent."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.signals import post_save
from django.utils import timezone

from operations import grants
from operations.grant_models import SignedText
from operations.models import Operation
from tests.factories import make_grant
from tests.operations.signing import Account, asking, send, signed
from tests.parallel import at_once


@pytest.fixture
def account():
    return Account()


@pytest.mark.django_db
def test_the_same_request_again_is_refused(account):
    body = signed(account, asking(make_grant(signers=[account.address])))
    assert send(body).status_code == 202
    answer = send(body)
    assert (answer.status_code, answer.json()["code"]) == (403, "signature_used")
    assert Operation.objects.count() == 1


@pytest.mark.django_db
def test_another_signature_over_the_same_text_is_the_same_request(account):
    text = asking(make_grant(signers=[account.address]))
    assert send(signed(account, text)).status_code == 202
    again = {"app_signature": account.sign(text, v_base=0), "operation_request_json": text}
    assert send(again).json()["code"] == "signature_used"


@pytest.mark.django_db
def test_two_signers_may_say_the_same(account):
    other = Account()
    text = asking(make_grant(signers=[account.address, other.address]))
    assert send(signed(account, text)).status_code == 202
    assert send(signed(other, text)).status_code == 202


@pytest.mark.django_db
def test_a_grant_may_allow_repeats(account):
    body = signed(account, asking(make_grant(signers=[account.address], allows_repeats=True)))
    assert [send(body).status_code for _ in range(3)] == [202, 202, 202]
    assert not SignedText.objects.exists()


@pytest.mark.django_db
def test_a_text_is_remembered_beyond_its_operation(account):
    body = signed(account, asking(make_grant(signers=[account.address])))
    Operation.objects.get(pk=send(body).json()["id"]).delete()
    assert send(body).json()["code"] == "signature_used"


@pytest.mark.django_db
def test_what_has_ended_by_itself_needs_not_be_remembered(account, monkeypatch):
    grant = make_grant(signers=[account.address])
    soon = (timezone.now() + timedelta(minutes=1)).isoformat()
    body = signed(account, asking(grant, expires_at=soon))
    assert send(body).status_code == 202
    later = timezone.now() + timedelta(minutes=2)
    monkeypatch.setattr(grants.timezone, "now", lambda: later)
    assert send(signed(account, asking(grant))).status_code == 202
    assert SignedText.objects.count() == 1
    assert send(body).status_code == 403
    assert Operation.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_equal_requests_at_the_same_moment_one_is_acted_on(account):
    body = signed(account, asking(make_grant(signers=[account.address])))
    answers = at_once(*[lambda: send(body).status_code] * 8)
    assert sorted(answers) == [202] + [403] * 7
    assert Operation.objects.count() == 1


def break_off(execute, sql, *others):
    """Fail as a database does that goes away before the operation is recorded."""
    if not sql.startswith('INSERT INTO "operations_operation"'):
        return execute(sql, *others)
    if connection.vendor == "postgresql":
        connection.connection.close()
    raise OperationalError("the connection is closed")


@contextmanager
def committing_without_an_answer():
    """Fail as a database does that goes away once the operation is recorded."""

    def fail():
        raise OperationalError("the connection is closed")

    def recorded(**_signal):
        transaction.on_commit(fail)

    post_save.connect(recorded, sender=Operation)
    try:
        yield
    finally:
        post_save.disconnect(recorded, sender=Operation)


@pytest.mark.django_db(transaction=True)
def test_what_the_database_failed_to_record_may_be_sent_again(account):
    body = signed(account, asking(make_grant(signers=[account.address])))
    with connection.execute_wrapper(break_off):
        answer = send(body)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert not Operation.objects.exists()
    assert [send(body).status_code for _ in range(2)] == [202, 403]


@pytest.mark.django_db(transaction=True)
def test_what_the_database_has_recorded_without_saying_so_is_not_done_again(account):
    body = signed(account, asking(make_grant(signers=[account.address])))
    with committing_without_an_answer():
        assert send(body).status_code == 503
    assert send(body).json()["code"] == "signature_used"
    assert Operation.objects.count() == 1
