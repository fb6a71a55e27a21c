"""What is said twice with one ``Idempotency-Key`` is said once, and both hear the answer."""

import asyncio

import pytest

from agents.database import read
from operations.models import Operation
from tests.operations.chatting import chat
from tests.operations.driving import executing

pytestmark = pytest.mark.django_db(transaction=True)

KEY = {"idempotency-key": "once"}


async def test_a_chat_that_is_sent_again_hears_the_answer_of_the_first(agent):
    await read(agent.record, prompt_command=["sh", "-c", 'echo "$1"; echo said >> log', "-"])
    async with executing(agent):
        answers = await asyncio.gather(
            *(chat(agent.owner, headers=KEY, message="hello") for _ in range(3))
        )
        later = await chat(agent.owner, headers=KEY, message="hello")
        other = await chat(agent.owner, headers=KEY, message="other")
    assert {each.status for each in (*answers, later)} == {200}
    assert all(each.body == answers[0].body for each in (*answers, later))
    assert answers[0].body["response"] == "hello"
    assert await read(Operation.objects.count) == 1
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
