import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from agents.models import Agent, Host, Log, Share, Stats
from agents.output import logs
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

AGENTS = "/admin/agents/agent/"
AWAY = "connection refused"


def person(name, **fields):
    users = get_user_model().objects
    fields.setdefault("email_verified_at", timezone.now())
    return users.create_user(name, f"{name}@example.org", "x", is_staff=True, **fields)


def agent(name, owner, **fields):
    host = Host.objects.local()
    fields = {"status": "running", **fields}
    made = Agent.objects.create(
        name=name, owner=owner, host=host, log=Log.objects.create(), **fields
    )
    Stats.objects.create(agent=made, sampled_at=timezone.now(), cpu_percent=12.34)
    return made


@pytest.fixture
def root(client):
    """An administrator, signed in."""
    user = person("root", is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def scribe():
    return agent("scribe", person("ada"))


@pytest.fixture
def staff(client, scribe):
    """Sign in somebody of the staff who is no administrator, with a role or as a stranger."""

    def sign_in(role=None):
        user = person(role or "stranger")
        if role:
            Share.objects.create(agent=scribe, email=user.email, role=role)
        client.force_login(user)
        return user

    return sign_in


@pytest.fixture
def engine_away():
    Host.objects.local().record_away(AWAY)


def act(client, action, *objects, page=AGENTS, **more):
    form = {"action": action, "_selected_action": [str(one.pk) for one in objects], **more}
    return client.post(page, form, follow=True)


def told(response):
    return [str(message) for message in response.context["messages"]]


def change_page(agent):
    return reverse("admin:agents_agent_change", args=[agent.pk])


def no_shares():
    return {"shares-TOTAL_FORMS": "0", "shares-INITIAL_FORMS": "0", **no_variables()}


def no_variables():
    return {"environment-TOTAL_FORMS": "0", "environment-INITIAL_FORMS": "0"}


def new_agent_form(**fields):
    form = {"name": "fresh", "type": "t", "template": "local:default", "tags": ""}
    return {**form, "image": "trinity-agent-base:latest", **fields}


def queries_of(client, page):
    client.get(page)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(page).status_code == 200
    return len(queries)


def test_the_list_costs_the_same_for_1_and_20_agents(client, root, scribe):
    for_one = queries_of(client, AGENTS)
    for number in range(19):
        agent(f"agent-{number}", root)
    assert queries_of(client, AGENTS) == for_one


def test_the_list_shows_status_reason_and_figures_for_the_live_script(client, root):
    agent("scribe", root, status_reason="started <now>")
    page = client.get(AGENTS).content.decode()
    assert 'data-status="running" data-agent="scribe" data-shows="status">running<' in page
    assert "started &lt;now&gt;" in page
    assert "12.3\N{NO-BREAK SPACE}%" in page
    assert 'src="/static/js/admin_live.js" type="module"' in page


def test_staff_see_their_own_and_shared_agents(client, scribe, staff):
    user = staff("viewer")
    agent("own", user)
    agent("others", person("bob"))
    shown = client.get(AGENTS).context["cl"].queryset
    assert [one.name for one in shown] == ["own", "scribe"]


def test_a_strangers_agent_cannot_be_opened_changed_or_deleted(client, scribe, staff):
    staff()
    delete_page = reverse("admin:agents_agent_delete", args=[scribe.pk])
    for page in (change_page(scribe), delete_page):
        assert client.get(page).status_code == 302
        assert client.post(page, {"post": "yes"}).status_code == 302
    assert Agent.objects.present().contains(scribe)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_whoever_does_not_own_an_agent_may_not_change_or_delete_it(client, scribe, staff, role):
    staff(role)
    assert b'name="description"' not in client.get(change_page(scribe)).content
    form = {"type": "t", "description": "mine", **no_shares()}
    assert client.post(change_page(scribe), form).status_code == 403
    delete_page = reverse("admin:agents_agent_delete", args=[scribe.pk])
    assert client.post(delete_page, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("action", ["start", "stop", "restart", "delete_agents"])
def test_a_viewer_may_do_nothing_to_an_agent(client, scribe, staff, action):
    staff("viewer")
    response = act(client, action, scribe, confirmed="yes")
    assert told(response) == ["scribe: you may not do this to it"]


def test_an_operator_may_not_delete(client, scribe, staff):
    staff("operator")
    response = act(client, "delete_agents", scribe, confirmed="yes")
    assert told(response) == ["scribe: you may not do this to it"]
    assert Agent.objects.present().contains(scribe)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["start", "stop", "restart", "delete_agents"])
def test_an_action_on_many_tells_of_each_what_went_wrong(client, root, engine_away, action):
    agents = [agent(f"agent-{number}", root) for number in range(10)]
    response = act(client, action, *agents, confirmed="yes")
    messages = told(response)
    assert [message.split(":")[0] for message in messages] == [one.name for one in agents]
    assert all(AWAY in message for message in messages)
    assert AuditEvent.objects.filter(outcome="failed").count() == 10


def test_deleting_many_asks_first(client, root, scribe):
    response = act(client, "delete_agents", scribe)
    assert b"Delete 1 agent?" in response.content
    assert Agent.objects.present().contains(scribe)


@pytest.mark.django_db(transaction=True)
def test_a_deletion_that_is_refused_says_why_and_leaves_the_agent(client, root, engine_away):
    scribe = agent("scribe", root)
    page = reverse("admin:agents_agent_delete", args=[scribe.pk])
    response = client.post(page, {"post": "yes"}, follow=True)
    assert any(AWAY in message for message in told(response))
    assert Agent.objects.present().contains(scribe)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, AWAY),
        ({"name": "!!!"}, "must contain at least one alphanumeric character"),
        ({"template": "local:none"}, "not one of the available choices"),
        ({"image": "evil:latest"}, "not one of the available choices"),
        ({"memory_limit": "3g"}, "not one of the available choices"),
    ],
)
def test_a_creation_that_is_refused_is_an_error_of_the_form(
    client, root, engine_away, fields, reason
):
    response = client.post(f"{AGENTS}add/", new_agent_form(owner=root.pk, **fields))
    assert response.status_code == 200
    assert reason in str(response.context["errors"])
    assert not Agent.objects.exists()


def test_the_owner_of_a_new_agent_is_at_first_oneself(client, root):
    form = client.get(f"{AGENTS}add/").context["adminform"].form
    assert form.initial["owner"] == root.pk


def test_only_administrators_choose_another_owner(client, staff):
    staff()
    assert "owner" not in client.get(f"{AGENTS}add/").context["adminform"].form.fields


def test_a_change_writes_only_what_people_edit(client, root, scribe):
    form = {"type": "scribe", "description": "writes", "tags": "a, b,", "status": "stopped"}
    form["network"] = "internet"
    assert client.post(change_page(scribe), {**form, **no_shares()}).status_code == 302
    scribe.refresh_from_db()
    assert (scribe.type, scribe.description, scribe.tags) == ("scribe", "writes", ["a", "b"])
    assert scribe.status == "running"
    assert AuditEvent.objects.get(object_type="agent").verb == "update"


def test_sharing_is_recorded_with_who_did_it(client, root, scribe):
    share = {"shares-TOTAL_FORMS": "1", "shares-INITIAL_FORMS": "0"}
    share |= {"shares-0-email": "Bob@Example.org", "shares-0-role": "operator"}
    form = {"type": "t", "description": "", "tags": "", "network": "internet"}
    form |= no_variables()
    assert client.post(change_page(scribe), {**form, **share}).status_code == 302
    made = Share.objects.get()
    assert (made.email, made.shared_by) == ("bob@example.org", root)
    assert AuditEvent.objects.get(verb="share").detail == "bob@example.org as operator"


def test_the_end_of_the_log_is_followed_live(client, root, scribe):
    logs.append(scribe.log_id, [(False, "line")] * 700, {})
    page = client.get(change_page(scribe)).content.decode()
    assert 'data-topic="agent:scribe:logs" data-after="200"' in page
    assert "/api/agents/scribe/logs/download" in page


def test_the_host_is_shown_and_cannot_be_changed(client, root, engine_away):
    page = reverse("admin:agents_host_change", args=[Host.objects.local().pk])
    assert AWAY in client.get(page).content.decode()
    assert client.post(page, {"name": "other"}).status_code == 403


def test_the_host_is_for_administrators(client, staff):
    staff("operator")
    assert client.get("/admin/agents/host/").status_code == 403
