"""A chat: what is said becomes an operation of the agent's prompt command, waited for."""

import json

import pytest

from agents.database import read
from agents.models import Activity
from operations.models import Operation
from tests.factories import make_user, share
from tests.operations.chatting import chat, chatting
from tests.operations.driving import executing, until

pytestmark = pytest.mark.django_db(transaction=True)

SAY = ["printf", "%s\\n"]


async def takes_prompts(agent, *command):
    await read(agent.record, prompt_command=list(command))


def activities():
    found = Activity.objects.filter(activity_type__in=["chat_start", "chat_end", "operation"])
    return {each.activity_type: each for each in found.order_by("started_at")}


async def test_what_the_agent_prints_is_the_answer(agent):
    await takes_prompts(agent, "sh", "-c", 'echo thinking >&2; echo "You said:"; echo "$1"', "-")
    async with executing(agent):
        told = await chat(agent.owner, message="good\nday")
    operation = await read(Operation.objects.get)
    assert told.status == 200
    assert told.body == {
        "response": "You said:\ngood\nday",
        "truncated": False,
        "execution": {"id": str(operation.pk), "queue_status": "succeeded"},
    }
    assert told.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "message", ["; echo pwned", "$(id)", "`id`", "--help", "{prompt}", "a b  c", "'\"\\", "☃"]
)
async def test_no_shell_sees_what_is_said(agent, message):
    await takes_prompts(agent, *SAY, "said={prompt}")
    async with executing(agent):
        told = await chat(agent.owner, message=message)
    assert told.body["response"] == f"said={message}"


async def test_the_model_is_in_the_environment(agent):
    await takes_prompts(agent, "sh", "-c", 'echo "$MODEL"')
    async with executing(agent):
        assert (await chat(agent.owner, message="x", model="large")).body["response"] == "large"
        assert (await chat(agent.owner, message="x", model=None)).body["response"] == ""


async def test_a_chat_is_an_activity_from_its_beginning_to_its_end(agent):
    await takes_prompts(agent, *SAY)
    async with executing(agent):
        told = await chat(agent.owner, message="hello", model="m")
    found = await read(activities)
    start, end, operation = (found[kind] for kind in ("chat_start", "chat_end", "operation"))
    assert {each.activity_state for each in found.values()} == {"completed"}
    assert {each.related_execution_id for each in found.values()} == {told.body["execution"]["id"]}
    assert operation.parent_id == end.parent_id == start.pk
    assert start.user_id == agent.owner.pk
    # What was said is nobody's business but the agent's.
    assert start.details == {
        "message_characters": 5,
        "model": "m",
        "status": "succeeded",
        "exit_code": 0,
    }
    assert end.details == {"chat_duration_ms": start.duration_ms}
    assert start.duration_ms > 0


async def test_a_command_that_fails_has_no_answer(agent):
    await takes_prompts(agent, "sh", "-c", "echo half an answer; exit 3", "-")
    async with executing(agent):
        told = await chat(agent.owner, message="x")
    assert (told.status, told.body["code"]) == (503, "agent_unavailable")
    assert told.headers["retry-after"]
    assert "Exited with code 3" in told.body["detail"]
    assert told.body["execution"]["queue_status"] == "failed"
    found = await read(activities)
    assert {each.activity_state for each in found.values()} == {"failed"}


async def test_an_agent_that_does_not_run_cannot_answer_and_that_is_recorded(agent):
    await takes_prompts(agent, *SAY)
    await read(agent.record, status="stopped")
    told = await chat(agent.owner, message="x")
    assert (told.status, told.body["code"]) == (503, "agent_unavailable")
    assert told.headers["retry-after"]
    [start] = (await read(activities)).values()
    assert (start.activity_type, start.activity_state) == ("chat_start", "failed")
    assert "start it first" in start.error
    assert not await read(Operation.objects.exists)


async def test_while_the_engine_is_away_nobody_is_kept_waiting(agent):
    await takes_prompts(agent, *SAY)
    await read(agent.host.record_away, "The engine is away")
    told = await chat(agent.owner, message="x")
    assert (told.status, told.body["code"]) == (503, "engine_unavailable")
    assert told.headers["retry-after"]
    assert (await read(activities))["chat_start"].activity_state == "failed"
    assert not await read(Operation.objects.exists)


async def test_an_agent_without_a_prompt_command_says_so(agent):
    told = await chat(agent.owner, message="x")
    assert (told.status, told.body["code"]) == (400, "no_prompt_command")
    assert [each.activity_state for each in (await read(activities)).values()] == ["failed"]


@pytest.mark.parametrize("message", ["", " \n", "x" * 100_001])
async def test_what_cannot_be_said_is_refused(agent, message):
    await takes_prompts(agent, *SAY)
    told = await chat(agent.owner, message=message)
    assert (told.status, told.body["code"]) == (400, "invalid_operation")


@pytest.mark.parametrize("body", [{}, {"message": 1}, {"message": "x", "model": 5}])
async def test_a_body_of_another_shape_is_malformed(agent, body):
    assert (await chat(agent.owner, **body)).status == 422


async def test_who_takes_long_is_not_waited_for_beyond_the_bound(agent, settings):
    settings.TRINITY_CHAT_SECONDS = 1
    await takes_prompts(agent, "sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; echo done", "-")
    async with executing(agent):
        told = await chat(agent.owner, message="x")
        assert (told.status, told.body["response"]) == (202, None)
        execution = told.body["execution"]
        assert f"/api/v1/operations/{execution['id']}/stream" in told.body["message"]
        # It goes on without us.
        operation = await read(Operation.objects.get, pk=execution["id"])
        assert not operation.is_finished


async def test_who_leaves_leaves_the_operation_running(agent):
    await takes_prompts(agent, "sh", "-c", "sleep 0.7; echo done", "-")
    async with executing(agent):
        left = await chatting(agent.owner, "scribe", message="x")
        await until(Operation.objects.filter(status="processing").exists)
        left.leave()
        await left.task
        await until(Operation.objects.filter(status="succeeded").exists)
    assert (await read(activities))["chat_start"].activity_state == "completed"


async def test_a_repeated_key_waits_for_the_same_answer(agent):
    await takes_prompts(agent, "sh", "-c", "echo $TRINITY_OPERATION", "-")
    key = {"idempotency-key": "once"}
    async with executing(agent):
        first = await chat(agent.owner, headers=key, message="x")
        again = await chat(agent.owner, headers=key, message="x")
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    assert await read(Operation.objects.count) == 1


async def test_a_long_answer_is_cut_and_says_so(agent):
    await takes_prompts(agent, "sh", "-c", "yes 0123456789 | head -c 1200000", "-")
    async with executing(agent):
        told = await chat(agent.owner, message="x")
    assert told.body["truncated"]
    assert len(told.body["response"]) <= 1024**2


async def test_only_who_may_operate_may_talk(agent):
    await takes_prompts(agent, *SAY)
    viewer, operator, stranger = [await read(make_user) for _ in range(3)]
    await read(share, agent, viewer)
    await read(share, agent, operator, "operator")
    assert (await chat(None, message="x")).status == 401
    told = await chat(stranger, message="x")
    assert (told.status, told.body["detail"]) == (404, "Agent not found")
    told = await chat(viewer, message="x")
    assert (told.status, told.body["code"]) == (403, "may_not_operate")
    assert not await read(activities)
    async with executing(agent):
        assert (await chat(operator, message="x")).status == 200


async def test_what_django_answers_otherwise_passes_through(agent):
    left = await chatting(agent.owner, "scribe")
    assert (await left.answer()).status == 422
    assert json.dumps((await chat(None)).body) == '{"detail": "Not authenticated"}'
