"""How an operation ends is recorded with it, once, as the end of its activity."""

import pytest

from agents.database import read
from agents.models import Activity
from operations import requests
from operations.requests import NewOperation
from tests.operations.driving import executing, finished
from tests.operations.sockets import page_of
from trinity.audit import Actor

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(agent, *command):
    new = NewOperation(command=list(command))
    return await read(requests.request_operation, agent, Actor(agent.owner), new)


async def run(agent, *command):
    operation = await ask(agent, *command)
    async with executing(agent):
        return await finished(operation)


def only(operation):
    return Activity.objects.get(related_execution_id=str(operation.pk))


@pytest.mark.parametrize(
    ("command", "state", "error", "exit_code"),
    [
        (["true"], "completed", "", 0),
        (["sh", "-c", "exit 3"], "failed", "Exited with code 3", 3),
    ],
)
async def test_an_end_is_recorded_with_its_outcome(agent, command, state, error, exit_code):
    activity = await read(only, await run(agent, *command))
    assert (activity.activity_state, activity.error) == (state, error)
    assert activity.details["exit_code"] == exit_code
    assert activity.duration_ms >= 0
    assert activity.completed_at


async def test_one_that_cannot_be_started_has_failed(agent):
    activity = await read(only, await run(agent, "no-such-program"))
    assert activity.activity_state == "failed"
    assert activity.error


async def test_both_ends_are_told_to_those_who_watch_the_agent(agent):
    async with page_of(agent.owner) as page:
        await page.subscribe("agent:scribe")
        operation = await ask(agent, "true")
        # Until it has told the end, which it records before.
        async with executing(agent):
            told = [await page.next("activity") for _ in range(2)]
    assert [each["activity_state"] for each in told] == ["started", "completed"]
    assert {each["related_execution_id"] for each in told} == {str(operation.pk)}
    assert {each["agent_name"] for each in told} == {"scribe"}
