"""Status, log, sync and pull of a running agent, against a repository over HTTP."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Activity, Agent, GitConfig
from agents.workspace import git
from tests.factories import client_of, make_agent, make_running_agent, make_user, share
from tests.git_server import forge_of
from tests.parallel import meanwhile
from tests.repositories import Shared, write
from tests.waiting import wait_until
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/git"
VERBS = [("post", "sync"), ("post", "pull"), ("get", "log")]


@pytest.fixture
def shared(tmp_path):
    shared = Shared(tmp_path)
    shared.commit(README="Hello\n")
    return shared


@pytest.fixture
def forge(shared, settings):
    settings.TRINITY_GIT_TRANSPORTS = ["https", "ssh", "http"]
    settings.TRINITY_GIT_ALLOWED_HOSTS = ["127.0.0.1"]
    with forge_of(shared.bare.parent) as forge:
        yield forge


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


@pytest.fixture
def running(agent, client, forge, shared):
    client.put(f"{PATH}/config", {"github_repo": forge.url(shared.bare.name)})
    assert client.post("/api/agents/scribe/start").status_code == 200
    agent.refresh_from_db()
    return agent


@pytest.fixture
def branch(running):
    return GitConfig.objects.get().working_branch


@pytest.fixture
def tree(running, containers):
    return containers.folder / f"trinity-{running.host.instance}-{running.uid}-workspace" / "repo"


def get(client, what):
    answer = client.get(f"{PATH}/{what}")
    assert answer.status_code == 200, answer.json()
    return answer.json()


def post(client, what, **fields):
    answer = client.post(f"{PATH}/{what}", fields)
    return answer.status_code, answer.json()


def test_work_goes_to_the_agents_branch_and_is_told(client, branch, tree, shared, forge):
    assert post(client, "sync")[0] == 200
    write(tree, work="1")
    status, told = post(client, "sync", message="My work", paths=["work"])
    config = get(client, "config")
    assert status == 200
    assert told == {
        "success": True,
        "commit_sha": shared.sha(branch),
        "files_changed": 1,
        "branch": branch,
        "message": "Committed 1 file, pushed",
        "sync_time": config["last_sync_at"],
    }
    assert config["last_commit_sha"] == shared.sha(branch)
    assert get(client, "status") == {
        "git_enabled": True,
        "branch": branch,
        "remote_url": forge.url(shared.bare.name),
        "last_commit": get(client, "log")["commits"][0],
        "changes": [],
        "changes_count": 0,
        "ahead": 0,
        "behind": 0,
        "sync_status": "up_to_date",
    }


def test_the_log_tells_the_newest_commits(client, branch, tree, shared):
    post(client, "sync")
    write(tree, work="1")
    post(client, "sync")
    log = get(client, "log?limit=1")
    assert log["count"] == 1
    [commit] = log["commits"]
    assert (commit["sha"], commit["short_sha"]) == (shared.sha(branch), shared.sha(branch)[:7])
    assert (commit["message"], commit["author"]) == ("Work of scribe", "scribe")
    assert len(commit["date"]) == len("2026-01-01T00:00:00.000000Z")
    assert get(client, "log")["count"] == 2


def test_changes_and_what_is_there_and_not_here_wait_for_a_sync(client, branch, tree, shared):
    post(client, "sync")
    shared.commit(theirs="1")
    write(tree, work="1")
    status = get(client, "status")
    assert status["changes"] == [{"status": "??", "path": "work"}]
    assert (status["changes_count"], status["ahead"], status["behind"]) == (1, 0, 1)
    assert status["sync_status"] == "pending_sync"


def test_a_pull_takes_over_what_is_there(client, tree, shared, running):
    post(client, "sync")
    shared.commit(theirs="1")
    status, told = post(client, "pull")
    assert (status, told["success"], told["message"]) == (200, True, "Pulled 1 commit")
    assert "Fast-forward" in told["output"]
    assert (tree / "theirs").read_text() == "1"


@pytest.mark.parametrize("verb", ["sync", "pull"])
def test_diverged_histories_are_reported_and_not_overwritten(client, branch, tree, shared, verb):
    post(client, "sync")
    write(tree, work="1")
    post(client, "sync")
    theirs = shared.commit(branch, work="theirs")
    write(tree, work="mine")
    status, body = post(client, verb)
    assert (status, body["code"]) == (400, "git_diverged")
    assert "Nothing was overwritten" in body["detail"]
    assert shared.sha(branch) == theirs
    assert (tree / "work").read_text() == "mine"


def test_an_unreachable_repository_leaves_behind_unknown(client, running, forge):
    post(client, "sync")
    forge.token = "not ours"
    status = get(client, "status")
    assert (status["behind"], status["sync_status"]) == (None, "pending_sync")
    assert "git ls-remote" in status["message"]
    code, body = post(client, "sync")
    assert (code, body["code"]) == (400, "git_failed")


def test_two_at_once_are_busy(client, running, forge):
    forge.gate.clear()
    with meanwhile(lambda: post(client, "sync")) as first:
        wait_until(lambda: forge.requests)
        status, body = post(client_of(running.owner), "sync")
        assert (status, body["code"]) == (409, "busy")
        forge.gate.set()
        assert first.result(30)[0] == 200


@pytest.mark.parametrize(("method", "what"), VERBS)
def test_without_a_repository_there_is_nothing_to_do(agent, client, method, what, containers):
    answer = getattr(client, method)(f"{PATH}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (400, "git_not_configured")
    assert not containers.calls


def test_without_a_repository_the_status_says_so(agent, client):
    told = {"git_enabled": False, "message": "Git is not configured for this agent"}
    assert get(client, "status") == told


@pytest.mark.parametrize(("method", "what"), VERBS)
def test_a_stopped_agent_does_nothing(agent, client, method, what):
    GitConfig.objects.create_for(agent, "https://git.example.org/a")
    answer = getattr(client, method)(f"{PATH}/{what}")
    assert answer.status_code == 400
    assert answer.json() == {"detail": "Agent is not running", "code": "agent_not_running"}


def test_the_status_of_a_stopped_agent_tells_its_configuration(agent, client):
    GitConfig.objects.create_for(agent, "https://git.example.org/a")
    told = get(client, "status")
    assert (told["git_enabled"], told["agent_running"]) == (True, False)
    assert told["message"]
    assert told["config"] == get(client, "config")


@pytest.mark.parametrize(("method", "what"), [*VERBS, ("get", "status")])
def test_an_agent_whose_server_does_not_answer_is_unavailable(method, what):
    agent = make_running_agent(name="scribe")
    GitConfig.objects.create_for(agent, "https://git.example.org/a")
    answer = getattr(client_of(agent.owner), method)(f"{PATH}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")
    assert answer["Retry-After"]


def test_a_sync_that_is_switched_off_is_refused(client, running, shared):
    client.put(f"{PATH}/config", {"github_repo": "https://a.org/b", "sync_enabled": False})
    status, body = post(client, "sync")
    assert (status, body["code"]) == (400, "sync_disabled")


def test_a_repository_that_is_no_longer_allowed_is_refused(client, running, settings):
    settings.TRINITY_GIT_ALLOWED_HOSTS = []
    for method, what in [*VERBS, ("get", "status")]:
        answer = getattr(client, method)(f"{PATH}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_repository")


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
def test_a_limit_that_is_none_is_malformed(client, agent, limit):
    assert client.get(f"{PATH}/log?limit={limit}").status_code == 422


@pytest.mark.parametrize("body", [{"message": 5}, {"paths": "a"}, {"paths": [5]}])
def test_another_shape_is_malformed(client, agent, body):
    assert post(client, "sync", **body)[0] == 422


def test_paths_outside_are_refused(client, running):
    status, body = post(client, "sync", paths=["../../etc/passwd"])
    assert (status, body["code"]) == (400, "invalid_path")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_those_it_is_shared_with_look_and_change_nothing(client, running, role):
    person = make_user()
    share(running, person, role)
    post(client, "sync")
    for what in ("status", "log"):
        assert get(client_of(person), what)
    for what in ("sync", "pull"):
        status, body = post(client_of(person), what)
        assert (status, body["code"]) == (403, "may_not_own")


def test_what_was_done_is_in_the_trail_and_among_the_activities(client, running, forge):
    post(client, "sync")
    post(client, "pull")
    forge.token = "not ours"
    post(client, "sync")
    events = AuditEvent.objects.filter(verb__startswith="git_").order_by("pk")
    assert [(event.verb, event.outcome) for event in events] == [
        ("git_config", "done"),
        ("git_sync", "done"),
        ("git_pull", "done"),
        ("git_sync", "failed"),
    ]
    synced = Activity.objects.filter(activity_type="git_sync").order_by("started_at")
    assert [activity.activity_state for activity in synced] == ["completed", "failed"]
    assert synced[0].details == {"commit_sha": get(client, "log")["commits"][0]["sha"]} | {
        "files_changed": 0
    }


def test_a_token_of_the_agents_environment_opens_a_private_repository(
    client, running, forge, shared
):
    forge.token = "the agent's own"
    assert post(client, "sync")[0] == 400
    answer = client.put(
        "/api/agents/scribe/environment",
        {"variables": [{"name": "GIT_TOKEN", "value": "the agent's own"}]},
    )
    assert answer.status_code == 200, answer.json()
    client.post("/api/agents/scribe/restart", {"timeout_seconds": 1})
    assert post(client, "sync")[0] == 200


def test_the_list_of_agents_asks_no_more_for_those_with_a_repository(agent, client):
    client.get("/api/agents?stats=1")
    with CaptureQueriesContext(connection) as without:
        client.get("/api/agents?stats=1")
    for number in range(3):
        other = make_agent(owner=agent.owner)
        GitConfig.objects.create_for(other, f"https://git.example.org/{number}")
    with CaptureQueriesContext(connection) as with_three:
        rows = client.get("/api/agents?stats=1").json()
    assert sum(row["github_repo"] is not None for row in rows) == 3
    assert len(with_three) == len(without)
    assert Agent.objects.count() == 4


def test_an_image_too_old_for_it_is_told(client, running, monkeypatch):
    monkeypatch.setattr(git, "_request", lambda *_: {"verb": "git.unknown"})
    answer = client.get(f"{PATH}/status")
    assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")
    assert "docker rm -f" in answer.json()["detail"]
