from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection

from trinity.identity import authenticate_scope, issue_ticket


def ticket_for(api, path):
    response = api.post("/api/tickets", {"for": path}, content_type="application/json")
    assert response.json()["expires_in_seconds"] == 30
    return response.json()["ticket"]


def scope(path="/ws", query="", **headers):
    return {
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def test_a_ticket_opens_its_path_once(api, user):
    opened = scope(query="after=5&ticket=" + ticket_for(api, "/ws"))
    assert authenticate_scope(opened) == user
    assert authenticate_scope(opened) is None


def test_a_ticket_is_bound_to_its_path(api, user):
    ticket = ticket_for(api, "/api/agents/a/logs/stream?after=5")
    assert authenticate_scope(scope("/ws", f"ticket={ticket}")) is None
    ticket = ticket_for(api, "/api/agents/a/logs/stream?after=5")
    assert authenticate_scope(scope("/api/agents/a/logs/stream", f"ticket={ticket}")) == user


def test_a_ticket_does_not_outlive_its_user_being_disabled(api, user):
    ticket = ticket_for(api, "/ws")
    user.is_active = False
    user.save()
    assert authenticate_scope(scope(query=f"ticket={ticket}")) is None


@pytest.mark.parametrize(("path", "status"), [("ws", 400), ("", 400), (5, 422), (None, 422)])
def test_a_ticket_is_for_a_path(api, path, status):
    response = api.post("/api/tickets", {"for": path}, content_type="application/json")
    assert response.status_code == status


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=made-up", "ticket=%FF%00"])
def test_nobody_comes_in_without_a_valid_ticket(db, query):
    assert authenticate_scope(scope(query=query)) is None


def test_a_bearer_header_alone_decides(user, bearer, browser):
    cookie = f"sessionid={browser.cookies['sessionid'].value}"
    assert authenticate_scope(scope(authorization=bearer)) == user
    assert authenticate_scope(scope(authorization="Bearer wrong", cookie=cookie)) is None


@pytest.mark.parametrize(
    ("origin", "comes_in"),
    [("http://here:8000", True), ("http://evil", False), ("null", False), ("http://[", False)],
)
def test_a_cookie_counts_on_pages_of_this_site_only(browser, user, origin, comes_in):
    cookie = f'theme="dark; sessionid={browser.cookies["sessionid"].value}'
    opened = scope(cookie=cookie, origin=origin, host="here:8000")
    assert authenticate_scope(opened) == (user if comes_in else None)


def test_a_made_up_or_disabled_session_is_nobody(browser, user):
    assert authenticate_scope(scope(cookie="sessionid=made-up")) is None
    user.is_active = False
    user.save()
    cookie = f"sessionid={browser.cookies['sessionid'].value}"
    assert authenticate_scope(scope(cookie=cookie)) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_that_read_a_ticket_at_once_one_comes_in(user, monkeypatch):
    opened = scope(query="ticket=" + issue_ticket(user, "/ws"))
    both_have_read, read = Barrier(2), LocMemCache.get

    def read_together(*args, **kwargs):
        issued = read(*args, **kwargs)
        both_have_read.wait(10)
        return issued

    monkeypatch.setattr(LocMemCache, "get", read_together)

    def redeem(_):
        try:
            return authenticate_scope(opened)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(redeem, range(2)), key=bool) == [None, user]
