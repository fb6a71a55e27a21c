"""The page of one operation: what it shows, to whom, and what it lets him do."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Host
from agents.output import logs
from tests.factories import (
    make_administrator,
    make_grant,
    make_operation,
    make_running_agent,
    make_user,
    share,
)
from trinity.encryption import seal

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def sign_in(client, agent):
    """Sign somebody in, with a role on the agent or as a stranger."""

    def signed_in(role=None):
        user = agent.owner if role == "owner" else make_user()
        if role in {"viewer", "operator"}:
            share(agent, user, role)
        client.force_login(user)
        return user

    return signed_in


def page_of(client, operation):
    return client.get(f"/operations/{operation.pk}")


def text_of(client, operation):
    response = page_of(client, operation)
    assert response.status_code == 200
    return response.content.decode()


def tag(text, mark):
    """The opening tag with an attribute."""
    return re.search(rf"<[^>]*{re.escape(mark)}[^>]*>", text)[0]


def test_who_is_not_signed_in_is_asked_to(client, agent):
    operation = make_operation(agent=agent)
    answer = page_of(client, operation)
    assert (answer.status_code, answer["Location"]) == (
        302,
        f"/sign-in?next=/operations/{operation}",
    )


def test_it_shows_command_agent_state_summary_notes_and_where_it_ran(client, agent, sign_in):
    ended = {"started_at": timezone.now(), "finished_at": timezone.now()}
    operation = make_operation(
        agent=agent,
        requester=sign_in("owner"),
        command=["sh", "-c", "make <b>"],
        status="failed",
        error="timeout",
        exit_code=-15,
        summary="ran longer than 9 s",
        notes=["one note"],
        workdir="notes",
        timeout_seconds=9,
        environment_names=["API_KEY"],
        **ended,
    )
    text = text_of(client, operation)
    assert 'data-status="failed"' in text
    told = ["make &lt;b&gt;", "timeout, exit code -15", "ran longer than 9 s", "<li>one note</li>"]
    told += ["the agent&#x27;s container", "<code>notes</code>", "9 s", "<code>API_KEY</code>"]
    told += ['href="/agents/scribe"', f'href="/api/v1/operations/{operation}/logs/download"']
    for each in told:
        assert each.replace("&#x27;", "'") in text.replace("&#x27;", "'"), each
    assert "<b>" not in text


def test_an_isolated_one_shows_its_own_limits(client, agent, sign_in):
    sign_in("viewer")
    isolated = {"is_isolated": True, "memory": "1g", "cpu": "2", "network": "internet"}
    text = text_of(client, make_operation(agent=agent, **isolated))
    assert "a container of its own" in text
    assert "2 CPUs, 1g memory, internet" in text


def test_the_log_begins_within_what_a_page_holds(client, agent, sign_in):
    sign_in("viewer")
    operation = make_operation(agent=agent)
    logs.append(operation.log_id, [(False, "line")] * 2500, {})
    assert 'data-log-after="500"' in text_of(client, operation)


def test_what_waits_shows_its_place_in_line(client, agent, sign_in):
    sign_in("viewer")
    first, second = make_operation(agent=agent), make_operation(agent=agent)
    for place, operation in enumerate((first, second), 1):
        text = text_of(client, operation)
        assert f'<span data-field="position">{place}</span> in line' in text
        assert " hidden" not in tag(text, 'id="waiting"')
    first.mark_processing()
    assert " hidden" in tag(text_of(client, first), 'id="waiting"')


@pytest.mark.parametrize(
    ("role", "cancels", "runs"),
    [("owner", True, True), ("operator", True, True), ("viewer", False, False)],
)
def test_cancel_and_run_again_are_for_those_who_operate_the_agent(
    client, agent, sign_in, role, cancels, runs
):
    sign_in(role)
    text = text_of(client, make_operation(agent=agent))
    assert ('id="cancel"' in text, 'id="again"' in text) == (cancels, runs)


def test_what_has_ended_cannot_be_canceled(client, agent, sign_in):
    sign_in("operator")
    text = text_of(client, make_operation(agent=agent, status="succeeded"))
    assert " hidden" in tag(text, 'id="cancel"')


def test_who_asked_for_it_sees_and_cancels_it_when_the_agent_is_not_shared_any_more(
    client, agent, sign_in
):
    operation = make_operation(agent=agent, requester=sign_in())
    text = text_of(client, operation)
    assert 'id="cancel"' in text
    assert 'id="again"' not in text
    assert 'href="/agents/scribe"' not in text


def test_for_a_stranger_it_is_not_there(client, agent, sign_in):
    sign_in()
    answer = page_of(client, make_operation(agent=agent))
    assert answer.status_code == 404
    assert "not shared with you" in answer.content.decode()


@pytest.mark.parametrize(("role", "sees"), [("owner", True), ("operator", False)])
def test_from_where_it_was_asked_for_is_for_owners_and_whoever_did(
    client, agent, sign_in, role, sees
):
    origin = {"requested_from": "192.0.2.7", "token_name": "laptop"}
    user = sign_in(role)
    text = text_of(client, make_operation(agent=agent, **origin))
    assert ("192.0.2.7" in text, "laptop" in text) == (sees, sees)
    assert "192.0.2.7" in text_of(client, make_operation(agent=agent, requester=user, **origin))


def test_a_signed_one_names_its_signer_and_grant(client, agent, sign_in):
    sign_in("viewer")
    grant = make_grant(agent=agent)
    signer = "0x" + "a" * 40
    text = text_of(client, make_operation(agent=agent, grant=grant, signer=signer))
    assert signer in text
    assert f"by grant {grant.pk}" in text


@pytest.mark.parametrize(
    ("environment", "asks"), [(b"", True), (seal({"API_KEY": "known to few"}), False)]
)
def test_run_again_asks_for_an_environment_that_is_not_kept(
    client, agent, sign_in, environment, asks
):
    sign_in("operator")
    operation = make_operation(agent=agent, environment=environment, environment_names=["API_KEY"])
    text = text_of(client, operation)
    assert ("data-asks" in tag(text, 'id="again"')) == asks
    assert 'name="value of API_KEY"' in text
    assert "known to few" not in text


def test_it_keeps_to_the_content_security_policy_and_names_what_changes(client, agent, sign_in):
    sign_in("owner")
    response = page_of(client, make_operation(agent=agent, environment_names=["A"]))
    assert "unsafe" not in response["Content-Security-Policy"]
    text = response.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)
    assert 'role="status"' in text
    assert 'role="timer" aria-label="Duration"' in text
    assert 'role="log" aria-live="off" aria-label="Output of this operation"' in text


def test_a_banner_tells_that_the_engine_is_away(client, agent, sign_in):
    sign_in("viewer")
    Host.objects.local().record_away("connection refused")
    assert "connection refused" in text_of(client, make_operation(agent=agent))


def test_it_costs_the_same_few_queries_however_many_wait(client, agent):
    client.force_login(make_administrator())

    def queries(operation):
        text_of(client, operation)
        with CaptureQueriesContext(connection) as captured:
            text_of(client, operation)
        return len(captured)

    made = [make_operation(agent=agent, requester=make_user()) for _ in range(2)]
    for_two = queries(made[-1])
    made += [make_operation(agent=agent, requester=make_user()) for _ in range(20)]
    assert queries(made[-1]) == for_two <= 12
