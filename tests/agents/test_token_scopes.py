"""A token limited to scopes may what they say and what its user may, never more."""

import pytest

from agents.database import read
from agents.models import Agent
from tests.factories import (
    client_of,
    make_administrator,
    make_agent,
    make_operation,
    make_running_agent,
    make_token,
    make_user,
    share,
)
from tests.operations.sockets import knock
from tests.streams import viewing
from trinity.models import AuditEvent, Scope

pytestmark = pytest.mark.django_db

READS = ["", "/logs", "/resources", "/stats/history", "/shares", "/audit"]
OPERATES = [("post", "/start"), ("post", "/stop"), ("post", "/restart")]
MANAGES = [
    ("patch", "", {"description": "mine"}),
    ("put", "/resources", {}),
    ("post", "/share", {"email": "ada@example.org"}),
    ("delete", "/share/ada@example.org", None),
    ("delete", "", None),
]


@pytest.fixture
def agent():
    return make_agent(name="scribe")


def ask(agent, scopes, method, path, body=None):
    return getattr(client_of(agent.owner, scopes=scopes), method)(f"/api/agents/scribe{path}", body)


def lacks(answer, scope):
    told = {"detail": f"This needs a token with the scope {scope}", "code": "insufficient_scope"}
    return (answer.status_code, answer.json()) == (403, told)


@pytest.mark.parametrize("scope", ["read", "operate", "manage"])
@pytest.mark.parametrize("path", READS)
def test_each_scope_but_that_of_metrics_reads(agent, scope, path):
    assert ask(agent, [scope], "get", path).status_code == 200


@pytest.mark.parametrize("path", READS)
def test_the_scope_of_metrics_reads_no_agent(agent, path):
    assert lacks(ask(agent, ["metrics"], "get", path), "read")


@pytest.mark.parametrize(("method", "path"), OPERATES)
def test_who_may_only_read_operates_nothing(agent, method, path):
    assert lacks(ask(agent, ["read"], method, path), "operate")
    agent.refresh_from_db()
    assert (agent.status, agent.verb) == ("stopped", "")


@pytest.mark.parametrize("scope", ["operate", "manage"])
def test_who_may_operate_starts_and_stops(agent, scope):
    assert ask(agent, [scope], "post", "/start").status_code == 200
    assert ask(agent, [scope], "post", "/stop").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_who_may_only_operate_manages_nothing(agent, method, path, body):
    assert lacks(ask(agent, ["operate"], method, path, body), "manage")
    assert Agent.objects.present().filter(description="").count() == 1
    assert agent.shares.count() == 0


@pytest.mark.parametrize(("method", "path", "body"), MANAGES)
def test_who_may_manage_does_all_that_the_owner_does(agent, method, path, body):
    share(agent, make_user(email="ada@example.org" if method == "delete" else "bob@example.org"))
    assert ask(agent, ["manage"], method, path, body).status_code == 200


def test_scopes_give_nothing_that_the_user_has_not(agent):
    viewer = make_user()
    share(agent, viewer)
    client = client_of(viewer, scopes=["manage", "metrics"])
    answer = client.post("/api/agents/scribe/start")
    assert (answer.status_code, answer.json()["code"]) == (403, "may_not_operate")
    assert client_of(make_user(), scopes=["manage"]).get("/api/agents/scribe").status_code == 404


def test_the_detail_says_what_the_token_may(agent):
    rights = ("can_operate", "can_share", "can_delete")
    told = {
        scope: [ask(agent, [scope], "get", "").json()[right] for right in rights]
        for scope in ("read", "operate", "manage")
    }
    assert told == {
        "read": [False, False, False],
        "operate": [True, False, False],
        "manage": [True, True, True],
    }


def test_creating_an_agent_is_managing():
    body = {"name": "scribe"}
    user = make_user()
    assert lacks(client_of(user, scopes=["operate"]).post("/api/agents", body), "manage")
    assert client_of(user, scopes=["manage"]).post("/api/agents", body).status_code == 200


def test_an_operation_is_read_run_and_cancelled_by_scope():
    agent = make_running_agent(name="scribe")
    operation = make_operation(agent=agent, requester=agent.owner)
    reader = client_of(agent.owner, scopes=["read"])
    operator = client_of(agent.owner, scopes=["operate"])
    body = {"agent": "scribe", "command": ["true"]}
    cancel = f"/api/v1/operations/{operation.pk}/cancel"

    assert reader.get(f"/api/v1/operations/{operation.pk}").status_code == 200
    assert lacks(reader.post("/api/v1/operations", body), "operate")
    assert lacks(reader.post(cancel), "operate")
    assert operator.post("/api/v1/operations", body).status_code == 202
    assert operator.post(cancel).status_code == 204
    assert client_of(agent.owner, scopes=["metrics"]).get("/api/v1/operations").status_code == 403


def test_who_holds_any_token_may_ask_whose_it_is(agent):
    client = client_of(agent.owner, scopes=["metrics"])
    assert client.get("/api/auth/validate").status_code == 200
    assert client.get("/api/users/me").json()["username"] == agent.owner.username


def test_an_administrators_token_is_limited_like_any():
    make_agent(name="scribe")
    root = make_administrator()
    client = client_of(root, scopes=["read"])
    assert client.get("/api/agents/scribe").status_code == 200
    assert lacks(client.post("/api/agents/scribe/start"), "operate")
    assert client.get("/api/audit").status_code == 200
    assert lacks(client_of(root, scopes=["metrics"]).get("/api/audit"), "read")


@pytest.mark.parametrize(
    ("held", "may"),
    [
        (None, {"read", "operate", "manage", "metrics"}),
        (["read"], {"read"}),
        (["operate"], {"read", "operate"}),
        (["manage"], {"read", "operate", "manage"}),
        (["metrics"], {"metrics"}),
        (["read", "metrics"], {"read", "metrics"}),
    ],
)
def test_manage_includes_operate_and_that_read(held, may):
    token, _ = make_token(make_user(), scopes=held)
    assert {scope.value for scope in Scope if token.has(scope)} == may


def test_what_a_token_lacks_is_told_to_the_audit_trail(agent):
    ask(agent, ["read"], "post", "/start")
    ask(agent, ["operate"], "patch", "", {})
    told = AuditEvent.objects.filter(outcome="denied").order_by("pk")
    assert [(each.verb, each.object_name, each.token_name) for each in told] == [
        ("POST start", "scribe", "test"),
        ("manage", "scribe", "test"),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scope", "opens"), [("metrics", False), ("read", True)])
async def test_the_live_socket_obeys_too(scope, opens):
    text = await read(lambda: make_token(make_user(), scopes=[scope])[1])
    assert await knock((b"authorization", f"Bearer {text}".encode())) is opens
    denied = await read(AuditEvent.objects.filter(outcome="denied", verb="open").count)
    assert denied == (0 if opens else 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", ["stream", "download"])
async def test_streams_obey_too(part):
    agent = await read(make_running_agent, name="scribe")
    text = await read(lambda: make_token(agent.owner, scopes=["metrics"])[1])
    path = f"/api/agents/scribe/logs/{part}"
    async with viewing(path, authorization=f"Bearer {text}") as viewer:
        assert (await viewer.status())[0] == 403
