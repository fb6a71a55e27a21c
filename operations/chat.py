"""Chats: an operation of the agent's prompt command, whose answer is waited for.

The request is taken by Django like any other and answered 202 with its operation. Whoever waits
for the answer does so beside Django, where that costs no thread; ``answered`` turns the 202 into
the answer when it comes in time.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError

from agents import activities, events, process
from agents.database import read
from agents.errors import AgentNotRunning, AgentUnavailable, EngineUnavailable
from agents.models import Activity, Agent
from agents.output import logs
from agents.responses import Headers, Receive, Scope, Send, disconnected
from operations import requests
from operations.endings import operation_group
from operations.models import Operation
from operations.reports import ChatAccepted, ChatAnswer, ChatFailed, Execution
from operations.requests import NewOperation
from trinity.audit import Actor
from trinity.errors import TrinityError

ANSWER_BYTES = 1024**2
RETRY_SECONDS = "5"
Status = Operation.Status


def begin(agent: Agent, actor: Actor, message: str, model: str) -> Operation:
    """Ask the agent; its activity is recorded even when it cannot be asked.

    Raises AgentUnavailable, EngineUnavailable, NoPromptCommand, InvalidRequest.
    """
    details = {"message_characters": len(message), **({"model": model} if model else {})}
    start = activities.begin(
        agent, Activity.Type.CHAT_START, actor, details=details, holder=process.HOLDER
    )
    activities.announce(start)
    try:
        command = requests.prompt_command(agent, message)
        if agent.host.away_since:
            # An operation would wait for the engine; somebody who talks should not.
            raise EngineUnavailable(agent.host.away_reason)
        new = NewOperation(command=command, env={"MODEL": model} if model else {})
        return requests.request_operation(agent, actor, new, chat=start)
    except TrinityError as error:
        activities.close(start, Activity.State.FAILED, error=str(error))
        activities.announce(start)
        if isinstance(error, AgentNotRunning):
            raise AgentUnavailable(str(error)) from error
        raise


def accepted(operation: Operation) -> ChatAccepted:
    """What a chat is told whose answer is still to come."""
    return {
        "response": None,
        "execution": _execution(operation),
        "message": (
            "The agent still works on its answer. It goes on without you: "
            f"GET /api/v1/operations/{operation.pk} tells its state and last lines, and "
            f"/api/v1/operations/{operation.pk}/stream follows it"
        ),
    }


def _execution(operation: Operation) -> Execution:
    return {"id": str(operation.pk), "queue_status": operation.status}


def _answer(operation_id: UUID) -> tuple[int, ChatAnswer | ChatFailed]:
    """The status and body for a chat whose operation has ended."""
    operation = Operation.objects.get(pk=operation_id)
    if operation.status == Status.SUCCEEDED:
        text, is_whole = logs.standard_output(operation.log_id, ANSWER_BYTES)
        return 200, {
            "response": text,
            "truncated": not is_whole,
            "execution": _execution(operation),
        }
    reason = operation.summary or operation.error or operation.status
    detail = f"The agent could not answer: {reason}. GET /api/v1/operations/{operation.pk} has more"
    return 503, {
        "detail": detail,
        "code": AgentUnavailable.code,
        "execution": _execution(operation),
    }


# Waiting, beside Django


class _Held:
    """An answer of Django's, held back until it is known what becomes of it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    @property
    def operation_id(self) -> UUID | None:
        """Of a chat that was accepted."""
        if not self.messages or self.messages[0].get("status") != 202:
            return None
        body = b"".join(message.get("body", b"") for message in self.messages)
        return UUID(json.loads(body)["execution"]["id"])

    @property
    def headers(self) -> Headers:
        """All but those that the body decides."""
        headers: Headers = self.messages[0]["headers"]
        return [pair for pair in headers if pair[0].lower() != b"content-length"]


def answered(django: Any) -> Any:
    """Wrap Django's handler: wait for the answer of a chat as long as is reasonable."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        held = _Held()
        await django(scope, receive, held.take)
        # Without its database, too, the chat that was accepted is all there is to tell.
        with suppress(DatabaseError):
            if held.operation_id and (answer := await _wait(held.operation_id, receive)):
                await _send(send, held.headers, *answer)
                return
        for message in held.messages:
            await send(message)

    return application


async def _send(send: Send, headers: Headers, status: int, body: ChatAnswer | ChatFailed) -> None:
    if status == 503:
        headers = [*headers, (b"Retry-After", RETRY_SECONDS.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    text = json.dumps(body, ensure_ascii=False)
    await send({"type": "http.response.body", "body": text.encode()})


async def _wait(operation_id: UUID, receive: Receive) -> tuple[int, ChatAnswer | ChatFailed] | None:
    """Return the answer; None when it takes too long, or nobody waits for it any more."""
    wait = asyncio.create_task(_ended(operation_id))
    leaving = asyncio.create_task(disconnected(receive))
    try:
        await asyncio.wait({wait, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await read(_answer, operation_id) if wait.done() and wait.result() else None
    finally:
        for task in (wait, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _ended(operation_id: UUID) -> bool:
    """Wait for the operation's end; False when it takes longer than a chat is waited for."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + settings.TRINITY_CHAT_SECONDS
    ended = Operation.objects.filter(pk=operation_id, finished_at__isnull=False)
    async with events.wake_ups([operation_group(operation_id)]) as wait:
        while not await read(ended.exists):
            if loop.time() >= give_up_at:
                return False
            await wait(events.RECHECK_SECONDS)
    return True
