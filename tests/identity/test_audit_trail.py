"""What is in the audit trail stays there; who comes and goes is in it."""

import pytest
from django.test import Client

from trinity import audit
from trinity.models import ApiToken, AuditEvent, AuditIsAppendOnly

pytestmark = pytest.mark.django_db


@pytest.fixture
def event():
    audit.record(audit.SYSTEM, "create", "agent", "a")
    return AuditEvent.objects.get()


@pytest.mark.parametrize(
    "attempt",
    [
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda event: AuditEvent.objects.update(verb="x"),
        lambda event: AuditEvent.objects.filter(pk=event.pk).delete(),
        lambda event: AuditEvent.objects.bulk_update([event], ["verb"]),
    ],
)
def test_nothing_is_changed_or_removed(event, attempt):
    with pytest.raises(AuditIsAppendOnly):
        attempt(event)
    assert AuditEvent.objects.get().verb == "create"


def test_names_outlive_the_account_and_the_token(user):
    token, _ = ApiToken.issue(user, "ci", expires_at=None)
    audit.record(audit.Actor(user, token), "create", "agent", "a")
    user.delete()
    event = AuditEvent.objects.get()
    assert (event.actor, event.token) == (None, None)
    assert (event.actor_name, event.token_name) == ("ada", "ci")


def trail():
    events = AuditEvent.objects.order_by("pk")
    return [(each.actor_name, each.verb, each.object_name, each.outcome) for each in events]


def test_signing_in_and_out_on_a_page_is_recorded(user, settings):
    settings.ROOT_URLCONF = "trinity.urls"
    page = Client()
    page.post("/sign-in", {"username": "ada", "password": "wrong"})
    page.post("/sign-in", {"username": "ada", "password": "analytical"})
    page.post("/sign-out")
    assert trail() == [
        ("system", "sign_in", "ada", "denied"),
        ("ada", "sign_in", "ada", "done"),
        ("ada", "sign_out", "ada", "done"),
    ]
    assert AuditEvent.objects.first().address == "127.0.0.1"


def test_signing_in_to_the_admin_is_recorded(administrator, settings):
    settings.ROOT_URLCONF = "trinity.urls"
    form = {"username": "root", "password": "engine-room"}
    assert Client().post("/admin/login/", form).status_code == 302
    assert trail() == [("root", "sign_in", "root", "done")]


def test_signing_in_over_the_api_is_recorded_once(administrator, client):
    client.post("/token", {"username": "root", "password": "engine-room"})
    assert trail() == [("root", "sign_in", "root", "done")]


def test_guesses_at_one_password_count_once_a_minute(administrator, client):
    for _ in range(3):
        client.post("/token", {"username": "root", "password": "wrong"})
    assert trail() == [("system", "sign_in", "root", "denied")]
