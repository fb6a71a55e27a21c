"""An agent whose container somebody has paused takes nothing new; what runs there goes on later."""

import asyncio

import pytest

from agents.database import read
from agents.models import Agent, GitConfig
from agents.runtime import get_runtime
from operations import execution, queue
from operations.models import Operation
from tests.factories import client_of, make_operation, make_running_agent
from tests.operations.driving import begin, executing, finished, lines_of, until

pytestmark = pytest.mark.django_db(transaction=True)

TOLD = "Agent scribe is paused on its engine: resume it there, or restart the agent"
STEPS = "for step in $(seq 40); do echo $step; sleep 0.02; done"


@pytest.fixture
def paused():
    """A recorded agent."""
    return make_running_agent(name="scribe", status_reason=Agent.PAUSED, prompt_command=["echo"])


def ask(owner, path="/api/v1/operations", **fields):
    return client_of(owner).post(path, fields)


def test_it_is_told_that_the_agent_is_paused_and_what_to_do(paused):
    answer = ask(paused.owner, agent="scribe", command=["true"])
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": TOLD, "code": "agent_not_running"},
    )
    assert not Operation.objects.exists()


def test_a_chat_is_told_too(paused):
    answer = ask(paused.owner, "/api/agents/scribe/chat", message="hello")
    assert (answer.status_code, answer.json()["detail"]) == (503, TOLD)


@pytest.mark.parametrize("path", ["files", "git/log"])
def test_so_is_who_asks_for_files_or_git(paused, path):
    GitConfig.objects.create(
        agent=paused, repository="https://example.org/a", working_branch="trinity/scribe"
    )
    answer = client_of(paused.owner).get(f"/api/agents/scribe/{path}")
    assert (answer.status_code, answer.json()["detail"]) == (400, TOLD)


def test_an_isolated_one_needs_no_agent_that_runs(paused):
    assert ask(paused.owner, agent="scribe", command=["true"], isolated=True).status_code == 202


def test_what_waits_waits_on(paused):
    operation = make_operation(agent=paused)
    assert queue.admit(paused.host_id) == ([], [])
    assert operation in Operation.objects.waiting()
    paused.record(status_reason="")
    queue.admit(paused.host_id)
    assert operation not in Operation.objects.waiting()


def test_to_cancel_what_runs_there_is_refused_and_changes_nothing(paused):
    operation = make_operation(agent=paused, status="processing", requester=paused.owner)
    path = f"/api/v1/operations/{operation.pk}/cancel"
    answer = ask(paused.owner, path)
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": TOLD, "code": "agent_not_running"},
    )
    operation.refresh_from_db()
    assert operation.cancel_requested_at is None
    operation.finish(Operation.Status.SUCCEEDED)
    assert ask(paused.owner, path).json()["code"] == "finished"


@pytest.mark.parametrize("fields", [{"status": "starting"}, {"is_isolated": True}])
def test_to_cancel_what_its_agent_is_not_needed_for_is_not(paused, fields):
    begun = {"status": "processing", "requester": paused.owner}
    operation = make_operation(agent=paused, **begun | fields)
    answer = ask(paused.owner, f"/api/v1/operations/{operation.pk}/cancel")
    assert answer.status_code == 204


async def test_what_runs_is_not_lost_however_long_it_takes(agent, monkeypatch):
    monkeypatch.setattr(execution, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(execution, "SILENCE_SECONDS", 0.1)
    operation = await begin(agent, "sh", "-c", STEPS)
    async with executing(agent):
        await until(lambda: Operation.objects.filter(pk=operation.pk, log__last_seq__gt=1).exists())
        await pause(agent)
    # Another supervisor has nobody to speak with.
    async with executing(agent):
        await asyncio.sleep(1)
        assert (await read(Operation.objects.get, pk=operation.pk)).status == "processing"
        await resume(agent)
        await finished(operation)
    assert operation.status == "succeeded"
    assert await lines_of(operation) == [str(step) for step in range(1, 41)]


async def pause(agent):
    get_runtime().pause(agent.container_id)
    await read(agent.record, status_reason=Agent.PAUSED)


async def resume(agent):
    get_runtime().resume(agent.container_id)
    await read(agent.record, status_reason="")
