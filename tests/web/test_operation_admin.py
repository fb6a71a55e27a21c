"""Operations in the admin: found by filters, followed live, canceled and run again."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agents.output import logs
from operations.models import Operation
from tests.factories import (
    make_administrator,
    make_operation,
    make_running_agent,
    make_user,
    share,
)
from trinity.encryption import seal
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

LIST = "/admin/operations/operation/"
# Of a list: who comes, what he may see, the page, and the choices of the filters.
QUERIES_OF_THE_LIST = 9


@pytest.fixture
def scribe():
    return make_running_agent(name="scribe")


@pytest.fixture
def root(client):
    user = make_administrator()
    client.force_login(user)
    return user


@pytest.fixture
def staff(client, scribe):
    """Sign in somebody of the staff who is no administrator, with a role or as a stranger."""

    def sign_in(role=None):
        user = make_user(is_staff=True)
        if role:
            share(scribe, user, role)
        client.force_login(user)
        return user

    return sign_in


def act(client, action, *operations):
    form = {"action": action, "_selected_action": [str(each.pk) for each in operations]}
    response = client.post(LIST, form, follow=True)
    return [str(message) for message in response.context["messages"]]


def change_page(operation):
    return reverse("admin:operations_operation_change", args=[operation.pk])


def shown(client, query):
    return list(client.get(f"{LIST}?{query}").context["cl"].queryset)


def queries_of(client, page):
    client.get(page)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


def test_the_list_costs_the_same_few_queries_for_1_and_20(client, root, scribe):
    make_operation(agent=scribe, requester=root)
    for_one = queries_of(client, LIST)
    for _ in range(19):
        make_operation(requester=make_user())
    assert queries_of(client, LIST) == for_one <= QUERIES_OF_THE_LIST


def test_filters_find_by_status_error_agent_requester_and_isolation(client, root, scribe):
    ada = make_user()
    make_operation(status="succeeded", created_at=timezone.now() - timedelta(days=9))
    wanted = make_operation(
        agent=scribe, requester=ada, status="failed", error="timeout", is_isolated=True
    )
    filters = ["status__exact=failed", "error__exact=timeout", "is_isolated__exact=1"]
    filters += [f"agent__id__exact={scribe.pk}", f"requester__id__exact={ada.pk}"]
    filters += [f"created_at__gte={wanted.created_at:%Y-%m-%d}%2000:00:00%2B00:00"]
    for query in [*filters, "&".join(filters)]:
        assert shown(client, query) == [wanted], query


def test_filters_name_only_what_one_may_see(client, scribe, staff):
    viewer = staff("viewer")
    other = make_operation(requester=make_user())
    make_operation(agent=scribe, requester=viewer)
    page = client.get(LIST).content.decode()
    assert "scribe" in page
    assert other.agent.name not in page
    assert other.requester.username not in page


def test_a_stranger_sees_no_operation(client, scribe, staff):
    one = make_operation(agent=scribe)
    staff()
    assert shown(client, "") == []
    assert client.get(change_page(one)).status_code == 302


def test_it_shows_command_and_outcome_and_follows_status_and_log(client, root, scribe):
    one = make_operation(
        agent=scribe, command=["sleep", "9 s"], status="failed", error="exited", exit_code=3
    )
    logs.append(one.log_id, [(False, "line")] * 700, {})
    page = client.get(change_page(one)).content.decode()
    assert "sleep &#x27;9 s&#x27;" in page
    assert f'data-status="failed" data-operation="{one}" data-shows="status"' in page
    assert f'data-operation="{one}" data-shows="outcome">exit code 3<' in page
    assert f'data-topic="operation:{one}:logs" data-after="200"' in page
    assert f'href="/api/v1/operations/{one}/logs/download"' in page
    assert f'href="/operations/{one}"' in page
    assert 'src="/static/js/admin_live.js" type="module"' in page


@pytest.mark.parametrize(("role", "sees"), [("owner", True), ("viewer", False)])
def test_where_it_came_from_is_for_owners(client, scribe, staff, role, sees):
    one = make_operation(agent=scribe, requested_from="192.0.2.7", token_name="laptop")
    user = staff("viewer")
    if role == "owner":
        scribe.owner = user
        scribe.save()
    page = client.get(change_page(one)).content.decode()
    assert ("192.0.2.7" in page, "laptop" in page) == (sees, sees)


def test_an_operator_cancels_what_runs(client, scribe, staff):
    one = make_operation(agent=scribe, status="processing")
    user = staff("operator")
    assert act(client, "cancel", one) == [f"{one} is being canceled"]
    one.refresh_from_db()
    assert one.cancel_requested_at
    assert AuditEvent.objects.get(object_type="operation", verb="cancel").actor == user


def test_what_waits_is_canceled_at_once(client, root, scribe):
    one = make_operation(agent=scribe)
    act(client, "cancel", one)
    one.refresh_from_db()
    assert one.status == "canceled"


@pytest.mark.parametrize("action", ["cancel", "run_again"])
def test_a_viewer_may_neither_cancel_nor_run_again(client, scribe, staff, action):
    one = make_operation(agent=scribe)
    user = staff("viewer")
    assert act(client, action, one) == [f"{one}: you may not do this to it"]
    one.refresh_from_db()
    assert one.cancel_requested_at is None
    assert Operation.objects.count() == 1
    assert AuditEvent.objects.get(actor=user, verb=action).outcome == "denied"


def test_canceling_what_has_ended_says_so(client, root, scribe):
    one = make_operation(agent=scribe, status="succeeded")
    assert act(client, "cancel", one) == [f"{one}: The operation has finished"]


def test_it_is_run_again_by_who_says_so_and_the_message_leads_there(client, scribe, staff):
    one = make_operation(agent=scribe, requester=scribe.owner, status="failed", workdir="a")
    user = staff("operator")
    [told] = act(client, "run_again", one)
    made = Operation.objects.exclude(pk=one.pk).get()
    assert (made.command, made.workdir, made.requester) == (one.command, "a", user)
    assert f'<a href="/operations/{made}">' in told
    event = AuditEvent.objects.get(verb="run_again")
    assert (event.actor, event.object_name) == (user, "scribe")
    assert str(one) in event.detail


def test_what_cannot_be_run_again_says_why_and_the_others_are(client, root, scribe):
    secret = make_operation(agent=scribe, status="succeeded", environment_names=["API_KEY"])
    kept = make_operation(
        agent=scribe, environment_names=["API_KEY"], environment=seal({"API_KEY": "x"})
    )
    told = act(client, "run_again", secret, kept)
    assert len(told) == 2
    assert any("API_KEY in its environment, whose values are not kept" in each for each in told)
    assert any(f"{kept} runs again as" in each for each in told)
