from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

User = get_user_model()
pytestmark = pytest.mark.django_db


def set_up(password="correct horse", confirmed=None):
    body = {"password": password, "confirm_password": confirmed or password}
    return Client().post("/api/setup/admin-password", body, content_type="application/json")


def test_setup_makes_the_administrator_once(client, settings):
    assert client.get("/api/setup/status").json() == {"setup_completed": False}
    assert set_up().json() == {"success": True}
    assert client.get("/api/setup/status").json() == {"setup_completed": True}
    administrator = User.objects.get()
    assert (administrator.username, administrator.email) == ("admin", settings.ADMIN_EMAIL)
    assert administrator.check_password("correct horse")

    again = set_up("another password")
    assert again.status_code == 403
    assert again.json()["detail"].startswith("Setup already completed. ")
    assert User.objects.get().check_password("correct horse")


@pytest.mark.parametrize(
    ("password", "confirmed", "detail"),
    [
        ("short", "short", "Password must be at least 8 characters"),
        ("long enough", "long enougj", "Passwords do not match"),
    ],
)
def test_a_bad_password_is_refused(password, confirmed, detail):
    response = set_up(password, confirmed)
    assert (response.status_code, response.json()["detail"]) == (400, detail)
    assert not User.objects.exists()


def test_completed_setup_is_said_before_anything_about_the_password(administrator):
    assert set_up("short").status_code == 403


def test_a_disabled_administrator_does_not_count(administrator):
    administrator.is_active = False
    administrator.save()
    assert set_up().status_code == 200


def test_a_plain_user_of_that_name_is_not_promoted():
    User.objects.create_user("admin", "someone@example.org", "password")
    response = set_up()
    assert (response.status_code, response.json()["code"]) == (409, "name_taken")
    assert not User.objects.get().is_superuser


@pytest.mark.django_db(transaction=True)
def test_two_that_set_up_at_once_make_one_administrator():
    start = Barrier(4)

    def race(number):
        start.wait()
        try:
            return set_up(f"password {number}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(race, range(4))) == [200, 403, 403, 403]
    assert User.objects.count() == 1
