"""Whose an e-mail address is: somebody vouches for it, and a new address is nobody's yet."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.messages import get_messages
from django.core.management import call_command

from tests.factories import make_user
from trinity.models import AuditEvent, User

pytestmark = pytest.mark.django_db

ADD = "/admin/trinity/user/add/"


@pytest.fixture
def console(client, administrator):
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


def new_person(**fields):
    password = {"usable_password": "true", "password1": "correct horse"}
    password |= {"password2": "correct horse"}
    return {"username": "new", "email": "new@example.org", **password, **fields}


def change(console, user, **fields):
    form = {"username": user.username, "email": user.email, "is_active": "on", **fields}
    answer = console.post(f"/admin/trinity/user/{user.pk}/change/", form)
    assert answer.status_code == 302, answer.context["errors"]
    return User.objects.get(pk=user.pk)


def test_the_first_administrator_is_vouched_for_by_who_installs(client):
    password = {"password": "long enough", "confirm_password": "long enough"}
    client.post("/api/setup/admin-password", password, content_type="application/json")
    assert User.objects.get().verified_email == "admin@localhost.localdomain"


def test_so_is_one_made_at_the_shell():
    options = {"username": "root", "email": "root@example.org", "interactive": False}
    call_command("createsuperuser", **options)
    assert User.objects.get().verified_email == "root@example.org"


def test_an_account_made_by_a_program_is_not():
    user = User.objects.create_user("ada", "ada@example.org")
    assert (user.email_verified_at, user.verified_email) == (None, "")


def test_who_makes_an_account_in_the_admin_vouches_for_it_unless_he_says_no(console):
    assert console.get(ADD).context["adminform"].form["email_verified"].initial is True
    console.post(ADD, new_person(email_verified="on"))
    console.post(ADD, new_person(username="other", email="other@example.org"))
    assert User.objects.get(username="new").email_verified_at
    assert User.objects.get(username="other").email_verified_at is None


def test_the_admin_verifies_and_unverifies(console):
    user = make_user(email_verified_at=None)
    verified = change(console, user, email_verified="on")
    at = verified.email_verified_at
    assert at
    assert change(console, user, email_verified="on", first_name="Ada").email_verified_at == at
    assert change(console, user).email_verified_at is None


def test_a_new_address_is_not_verified_whatever_the_old_one_was(console):
    user = make_user()
    changed = change(console, user, email="new@example.org", email_verified="on")
    assert (changed.email, changed.email_verified_at) == ("new@example.org", None)
    [told] = [m for m in get_messages(console.get("/admin/").wsgi_request) if "address" in str(m)]
    assert "mark it as verified" in str(told)


@pytest.mark.parametrize("options", [{}, {"update_fields": ["email"]}])
def test_nor_is_one_that_a_program_sets(options):
    user = make_user()
    user.email = "new@example.org"
    user.save(**options)
    assert User.objects.get().email_verified_at is None


@pytest.mark.parametrize("email", ["user@example.org", "USER@example.org"])
def test_the_same_address_stays_verified(email):
    user = make_user(email="user@example.org")
    user.email = email
    user.save()
    user.save(update_fields=["last_login"])
    assert User.objects.get().verified_email == "user@example.org"


def test_what_becomes_of_accounts_is_told_to_the_audit_trail(console, administrator):
    console.post(ADD, new_person(email_verified="on"))
    user = User.objects.get(username="new")
    change(console, user, is_superuser="on")
    console.post(f"/admin/trinity/user/{user.pk}/delete/", {"post": "yes"})
    events = AuditEvent.objects.filter(object_type="user", object_name="new").order_by("pk")
    assert [event.verb for event in events] == ["create", "change", "delete"]
    assert {event.actor for event in events} == {administrator}
    assert "Superuser status" in events[1].detail


def test_accounts_from_before_are_taken_for_verified():
    user, other = make_user(email_verified_at=None), make_user()
    import_module("trinity.migrations.0003_addresses_of_present_users").verify(apps, None)
    assert User.objects.get(pk=user.pk).email_verified_at
    assert User.objects.get(pk=other.pk).email_verified_at == other.email_verified_at
