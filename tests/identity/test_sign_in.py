from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from trinity.models import ApiToken, AuditEvent

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"


def sign_in(username, password, address="192.0.2.1", path="/token"):
    form = {"username": username, "password": password}
    return Client(REMOTE_ADDR=address).post(path, form)


@pytest.mark.parametrize("path", ["/token", "/api/token"])
def test_a_sign_in_gives_a_token_for_seven_days_and_no_cookie(administrator, path):
    response = sign_in("root", "engine-room", path=path)
    assert response.json().keys() == {"access_token", "token_type"}
    assert response.json()["token_type"] == "bearer"
    assert not response.cookies
    header = {"authorization": f"Bearer {response.json()['access_token']}"}
    validated = Client().get("/api/auth/validate", headers=header)
    assert validated.json() == {"status": "valid", "user": "root"}
    left = ApiToken.objects.get().expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


def test_a_form_in_the_other_encoding_is_read_too(administrator, client):
    form = "username=root&password=engine-room"
    assert client.post("/token", form, content_type=FORM).status_code == 200


def test_a_stale_token_does_not_keep_one_from_signing_in(administrator):
    client = Client(headers={"authorization": "Bearer stale"})
    form = {"username": "root", "password": "engine-room"}
    assert client.post("/api/token", form).status_code == 200


@pytest.mark.parametrize(("username", "password"), [("root", "wrong"), ("nobody", "engine-room")])
def test_a_wrong_password_and_an_unknown_user_look_the_same(administrator, username, password):
    response = sign_in(username, password)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["detail"] == "Incorrect username or password"
    event = AuditEvent.objects.get()
    assert (event.object_name, event.outcome, event.address) == (username, "denied", "192.0.2.1")


def test_before_the_first_administrator_setup_is_required(user):
    response = sign_in("ada", "analytical")
    assert (response.status_code, response.json()["detail"]) == (403, "setup_required")


@pytest.mark.parametrize("body", ["", "username=root", "--x\r\n\r\n"])
def test_a_form_without_a_field_is_422(administrator, client, body):
    for content_type in (FORM, "multipart/form-data; boundary=x", "multipart/form-data"):
        response = client.post("/token", body, content_type=content_type)
        assert response.status_code == 422


def test_only_the_pair_of_user_and_address_is_locked_out(administrator, user, settings):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        last = sign_in("root", "wrong")
    assert (last.status_code, last.json()["code"]) == (429, "too_many")
    assert int(last["Retry-After"]) == 900
    assert sign_in("root", "engine-room").status_code == 429
    assert sign_in("root", "engine-room", address="192.0.2.2").status_code == 200
    assert sign_in("ada", "analytical").status_code == 200


def test_a_success_forgets_the_failures_before_it(administrator, settings):
    for _ in range(2):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            assert sign_in("root", "wrong").status_code == 401
        assert sign_in("root", "engine-room").status_code == 200
