import re

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Host, Log, Share, Stats
from agents.output import logs
from operations.models import Operation
from trinity import audit

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
TABS = ["", "/operations", "/files", "/git", "/history", "/settings"]
PAGES = ["/agents", *[f"/agents/scribe{tab}" for tab in TABS]]


def person(name):
    users = get_user_model().objects
    verified = {"email_verified_at": timezone.now()}
    return users.create_user(name, f"{name}@example.org", PASSWORD, **verified)


def agent(name, owner, **fields):
    host = Host.objects.local()
    fields = {"status": "running", **fields}
    made = Agent.objects.create(
        name=name, owner=owner, host=host, log=Log.objects.create(), **fields
    )
    Stats.objects.create(agent=made, sampled_at=timezone.now(), cpu_percent=12.34)
    return made


def operation(agent, requester, **fields):
    command = ["sh", "-c", "echo <b>hello</b>"]
    log = Log.objects.create()
    return Operation.objects.create(
        agent=agent, requester=requester, command=command, log=log, **fields
    )


@pytest.fixture
def ada():
    return person("ada")


@pytest.fixture
def scribe(ada):
    return agent("scribe", ada, description="<i>writes</i>", status_reason="since <noon>")


@pytest.fixture
def visitor(client, scribe):
    """Sign somebody in, with a role on ada's agent or as a stranger."""

    def sign_in(role=None):
        user = person(role or "stranger")
        if role:
            Share.objects.create(agent=scribe, email=user.email, role=role)
        client.force_login(user)
        return client

    return sign_in


def text_of(response):
    return response.content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_who_is_not_signed_in_is_asked_to(client, page):
    response = client.get(page)
    assert (response.status_code, response["Location"]) == (302, f"/sign-in?next={page}")


def test_the_root_leads_to_the_agents(client):
    assert client.get("/")["Location"] == "/agents"


def test_signing_in_leads_to_where_one_wanted_to_go(client, ada):
    form = {"username": "ada", "password": PASSWORD, "next": "/agents/scribe"}
    assert client.post("/sign-in", form)["Location"] == "/agents/scribe"


def test_signing_in_leads_to_no_other_site(client, ada):
    form = {"username": "ada", "password": PASSWORD, "next": "https://example.org/"}
    assert client.post("/sign-in", form)["Location"] == "/agents"


def test_a_wrong_password_says_so_and_keeps_the_name(client, ada):
    page = text_of(client.post("/sign-in", {"username": "ada", "password": "wrong"}))
    assert "do not match" in page
    assert 'value="ada"' in page


def test_too_many_wrong_passwords_are_a_page_that_says_what_to_do(client, ada, settings):
    form = {"username": "ada", "password": "wrong"}
    for _ in range(settings.AXES_FAILURE_LIMIT):
        response = client.post("/sign-in", form)
    assert response.status_code == 429
    assert "Too many failed sign-ins" in text_of(response)


def test_signing_out_ends_the_session(client, ada):
    client.force_login(ada)
    assert client.post("/sign-out").status_code == 302
    assert client.get("/agents").status_code == 302
    assert client.get("/sign-out").status_code == 405


def test_the_list_shows_what_the_person_may_see(visitor):
    assert "scribe" in text_of(visitor("viewer").get("/agents"))
    assert "scribe" not in text_of(visitor().get("/agents"))


@pytest.mark.parametrize("tab", TABS)
def test_a_strangers_agent_is_a_404_page(visitor, tab):
    response = visitor().get(f"/agents/scribe{tab}")
    assert response.status_code == 404
    assert "not shared with you" in text_of(response)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_settings_are_for_owners(visitor, role):
    client = visitor(role)
    assert client.get("/agents/scribe/settings").status_code == 403
    assert "/agents/scribe/settings" not in text_of(client.get("/agents/scribe"))
    for tab in TABS[:-1]:
        assert client.get(f"/agents/scribe{tab}").status_code == 200


def test_the_owner_finds_all_parts_from_each_of_them(client, scribe, ada):
    client.force_login(ada)
    for tab in TABS:
        page = text_of(client.get(f"/agents/scribe{tab}"))
        assert all(f'href="/agents/scribe{other}"' in page for other in TABS)


def test_a_viewer_sees_the_page_without_verbs(visitor):
    page = text_of(visitor("viewer").get("/agents/scribe"))
    assert "data-verb" not in page
    assert 'id="run"' not in page
    assert "What was done" not in page


def test_an_operator_sees_verbs_but_not_the_audit_trail(visitor):
    page = text_of(visitor("operator").get("/agents/scribe"))
    assert page.count("data-verb=") == 3
    assert 'id="run"' in page
    assert "What was done" not in page


def test_an_owner_sees_what_was_done_since_the_agent_was_made(client, ada):
    audit.record(audit.Actor(user=ada), "older", "agent", "scribe")
    scribe = agent("scribe", ada)
    audit.record(audit.Actor(user=ada), "restart", "agent", scribe.name)
    client.force_login(ada)
    page = text_of(client.get("/agents/scribe/history"))
    assert "restart</th>" in page
    assert "older</th>" not in page


@pytest.mark.parametrize(("requester", "cancelable"), [("viewer", True), ("ada", False)])
def test_a_viewer_may_cancel_only_what_he_asked_for(visitor, scribe, requester, cancelable):
    client = visitor("viewer")
    operation(scribe, get_user_model().objects.get(username=requester))
    page = text_of(client.get("/agents/scribe"))
    row = page[
        page.index("<tr data-operation=") : page.index("</tr>", page.index("data-operation="))
    ]
    assert ("data-cancel hidden" not in row) == cancelable


def test_what_people_wrote_stays_text(client, ada, scribe):
    operation(scribe, ada)
    client.force_login(ada)
    page = text_of(client.get("/agents/scribe"))
    assert "&lt;b&gt;hello" in page
    assert "<b>hello" not in page
    assert "&lt;i&gt;writes" in page
    assert "since &lt;noon&gt;" in page


def test_the_log_begins_within_what_a_page_holds(client, ada, scribe):
    logs.append(scribe.log_id, [(False, "line")] * 2500, {})
    client.force_login(ada)
    assert 'data-log-after="500"' in text_of(client.get("/agents/scribe"))


@pytest.mark.parametrize("page", PAGES)
def test_a_banner_tells_that_the_engine_is_away_and_what_to_do(client, ada, scribe, page):
    client.force_login(ada)
    assert 'role="alert" hidden' in text_of(client.get(page))
    Host.objects.local().record_away("connection refused")
    shown = text_of(client.get(page))
    assert 'id="engine" role="alert">' in shown
    assert "connection refused" in shown


@pytest.mark.parametrize("page", [*PAGES, "/sign-in", "/agents/none"])
def test_pages_keep_to_a_strict_content_security_policy(client, ada, scribe, page):
    if page != "/sign-in":
        client.force_login(ada)
    response = client.get(page)
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = text_of(response)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)
    assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", text)


def queries_of(client, page):
    client.get(page)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


def test_the_list_costs_the_same_for_1_and_20_agents(client, ada, scribe):
    client.force_login(ada)
    for_one = queries_of(client, "/agents")
    for number in range(19):
        agent(f"agent-{number}", ada)
    assert queries_of(client, "/agents") == for_one


def test_the_page_costs_the_same_for_1_and_10_operations(client, ada, scribe):
    client.force_login(ada)
    operation(scribe, ada)
    for_one = queries_of(client, "/agents/scribe")
    for number in range(9):
        operation(scribe, person(f"p{number}"))
    assert queries_of(client, "/agents/scribe") == for_one
