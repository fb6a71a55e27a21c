import pytest

from trinity import audit
from trinity.models import ApiToken, AuditEvent, User


@pytest.fixture
def console(client, administrator):
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.mark.parametrize("model", ["user", "apitoken", "auditevent"])
def test_every_list_opens_and_searches(console, bearer, model):
    audit.record(audit.SYSTEM, "create", "agent", "a")
    assert console.get(f"/admin/trinity/{model}/").status_code == 200
    assert console.get(f"/admin/trinity/{model}/?q=a").status_code == 200


def test_a_user_is_made_with_an_address(console):
    page = console.get("/admin/trinity/user/add/")
    assert "email" in page.text
    form = {
        "username": "new",
        "email": "New@example.org",
        "usable_password": "true",
        "password1": "correct horse",
        "password2": "correct horse",
    }
    assert console.post("/admin/trinity/user/add/", form).status_code == 302
    assert User.objects.get(username="new").email == "new@example.org"
    assert console.post("/admin/trinity/user/add/", form | {"email": ""}).status_code == 200
    assert console.get(f"/admin/trinity/user/{User.objects.get(username='new').pk}/change/")


def test_a_token_is_revoked_but_neither_made_nor_changed(console, bearer):
    token = ApiToken.objects.get()
    assert console.get("/admin/trinity/apitoken/add/").status_code == 403
    change = console.get(f"/admin/trinity/apitoken/{token.pk}/change/")
    assert change.status_code == 200
    assert token.digest not in change.text
    console.post(f"/admin/trinity/apitoken/{token.pk}/delete/", {"post": "yes"})
    assert not ApiToken.objects.exists()
    assert AuditEvent.objects.get(object_type="token").verb == "delete"


def test_the_audit_trail_is_only_read(console, db):
    audit.record(audit.SYSTEM, "create", "agent", "a")
    event = AuditEvent.objects.get(object_type="agent")
    page = f"/admin/trinity/auditevent/{event.pk}"
    assert console.get(f"{page}/change/").status_code == 200
    assert console.post(f"{page}/change/", {"verb": "x"}).status_code == 403
    assert console.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    assert AuditEvent.objects.get(object_type="agent").verb == "create"
