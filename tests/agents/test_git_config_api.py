"""The owner says where an agent's work goes; everybody who sees the agent may read it."""

import pytest

from agents.models import GitConfig
from tests.factories import client_of, make_administrator, make_agent, make_user, share
from tests.parallel import at_once
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

PATH = "/api/agents/scribe/git/config"
URL = "https://git.example.org/team/work.git"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def owner(agent):
    return client_of(agent.owner)


def put(client, url=URL, **fields):
    answer = client.put(PATH, {"github_repo": url, **fields})
    return answer.status_code, answer.json()


def test_an_agent_without_a_repository_says_so(owner):
    answer = owner.get(PATH)
    expected = {"git_enabled": False, "message": "Git is not configured for this agent"}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_a_new_one_gets_a_branch_of_the_agents_own(owner):
    status, told = put(owner)
    config = GitConfig.objects.get()
    assert status == 200
    assert told == {
        "git_enabled": True,
        "github_repo": URL,
        "working_branch": f"trinity/scribe-{config.instance_id}",
        "instance_id": config.instance_id,
        "created_at": f"{config.created_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "last_sync_at": None,
        "last_commit_sha": None,
        "sync_enabled": True,
    }
    assert owner.get(PATH).json() == told
    assert owner.get("/api/agents/scribe").json()["github_repo"] == URL


def test_what_is_not_named_stays_as_it_is(owner):
    before = put(owner, working_branch="work", sync_enabled=False)[1]
    assert (before["working_branch"], before["sync_enabled"]) == ("work", False)
    after = put(owner, "https://git.example.org/other")[1]
    assert after == {**before, "github_repo": "https://git.example.org/other"}
    assert put(owner, working_branch=None)[1]["working_branch"] == "work"


def test_an_agent_is_created_with_a_repository(owner, containers):
    answer = owner.post("/api/agents", {"name": "painter", "github_repo": URL})
    assert (answer.status_code, answer.json()["github_repo"]) == (200, URL)
    told = owner.get("/api/agents/painter/git/config").json()
    assert told["working_branch"].startswith("trinity/painter-")


def test_an_agent_is_not_created_with_one_that_is_refused(owner, containers):
    answer = owner.post("/api/agents", {"name": "painter", "github_repo": "ext::sh"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_repository")
    assert owner.get("/api/agents/painter").status_code == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "http://git.example.org/a"}, "invalid_repository"),
        ({"url": "https://u:p@git.example.org/a"}, "invalid_repository"),
        ({"url": "--upload-pack=x"}, "invalid_repository"),
        ({"url": "https://127.0.0.1/a"}, "invalid_repository"),
        ({"url": ""}, "invalid_repository"),
        ({"working_branch": "--force"}, "invalid_branch"),
        ({"working_branch": "a..b"}, "invalid_branch"),
    ],
)
def test_what_is_refused_changes_nothing(owner, fields, code):
    before = put(owner)[1]
    status, body = put(owner, **fields)
    assert (status, body["code"]) == (400, code)
    assert owner.get(PATH).json() == before
    assert AuditEvent.objects.filter(verb="git_config", outcome="failed").exists()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "github_repo"),
        ({"github_repo": None}, "github_repo"),
        ({"github_repo": 5}, "github_repo"),
        ({"github_repo": "x" * 256}, "github_repo"),
        ({"github_repo": URL, "working_branch": 5}, "working_branch"),
        ({"github_repo": URL, "sync_enabled": "yes"}, "sync_enabled"),
    ],
)
def test_another_shape_is_malformed(owner, body, where):
    answer = owner.put(PATH, body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", where]
    assert not GitConfig.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_those_it_is_shared_with_read_and_do_not_write(agent, role):
    person = make_user()
    share(agent, person, role)
    status, body = put(client_of(person))
    assert (status, body["code"]) == (403, "may_not_own")
    assert client_of(person).get(PATH).status_code == 200


def test_an_administrator_writes_it(agent):
    assert put(client_of(make_administrator()))[0] == 200


def test_it_is_recorded_who_wrote_it(agent, owner):
    put(owner)
    event = AuditEvent.objects.get(verb="git_config")
    assert (event.actor, event.object_name, event.detail) == (agent.owner, "scribe", URL)


@pytest.mark.django_db(transaction=True)
def test_two_who_write_the_first_one_at_once_make_one(agent):
    clients = [client_of(agent.owner) for _ in range(4)]
    answers = at_once(*[lambda client=client: put(client) for client in clients])
    assert {status for status, _ in answers} == {200}
    assert GitConfig.objects.count() == 1
