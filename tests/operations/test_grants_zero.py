"""The signature of zeros: nobody's, unless a setting for development takes it for anybody's."""

import pytest
from django.core.checks import run_checks

from operations.models import Operation
from tests.factories import make_administrator, make_grant
from tests.operations.signing import asking, send
from trinity.management import steps

pytestmark = pytest.mark.django_db
ZEROS = "0x" + "0" * 130


def zero(grant, **keys):
    return send({"app_signature": ZEROS, "operation_request_json": asking(grant, **keys)})


def test_by_default_it_is_no_credential():
    assert zero(make_grant()).status_code == 401
    assert not [each for each in run_checks() if each.id == "trinity.W002"]


def test_the_setting_lets_it_pass_as_often_as_it_comes(settings):
    settings.TRINITY_ACCEPT_ZERO_SIGNATURE = True
    grant = make_grant()
    body = {"app_signature": ZEROS, "operation_request_json": asking(grant)}
    told = [send(body) for _ in range(2)]
    assert [answer.status_code for answer in told] == [202, 202]
    assert Operation.objects.get(pk=told[0].json()["id"]).signer == "0x" + "0" * 40


def test_it_opens_no_more_than_the_grant(settings):
    settings.TRINITY_ACCEPT_ZERO_SIGNATURE = True
    assert zero(make_grant(is_enabled=False)).status_code == 403
    assert zero(make_grant(), command="x").status_code == 403
    almost = "0x" + "0" * 129 + "1"
    answer = send({"app_signature": almost, "operation_request_json": asking(make_grant())})
    assert answer.status_code == 401


def test_every_start_and_every_page_of_the_admin_warn_of_it(settings, client):
    client.force_login(make_administrator(), backend="django.contrib.auth.backends.ModelBackend")
    assert b"Zero signatures are accepted" not in client.get("/admin/").content
    settings.TRINITY_ACCEPT_ZERO_SIGNATURE = True
    assert [each for each in run_checks() if each.id == "trinity.W002"]
    said = []
    steps.tell_control(said.append)
    assert any(text.startswith("WARNING: TRINITY_ACCEPT_ZERO_SIGNATURE") for text in said)
    for path in ("/admin/", "/admin/operations/grant/"):
        assert b"Zero signatures are accepted" in client.get(path).content
