"""Server-sent events of an operation: its log from a number on, its states, its end.

An ASGI application beside Django's handler, where every open response would hold a thread.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import Error as DatabaseError

from agents import live, logs
from agents.database import read
from operations.errors import OperationNotFound
from operations.execution import operation_group
from operations.models import Operation
from trinity.errors import Invalid
from trinity.identity import authenticate_scope
from trinity.models import User

KEEP_ALIVE_SECONDS = 15.0
# A share that was withdrawn ends the stream within this time; a lost wake-up costs as much.
RECHECK_SECONDS = 3.0

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class InvalidPosition(Invalid):
    code = "invalid_position"


async def operation_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/v1/operations/{id}/stream``; ``id`` stands in the route's arguments."""
    try:
        events = await _admit(scope, send)
    except DatabaseError:
        body = {"detail": "The database does not answer", "code": "database_unavailable"}
        await _refuse(send, 503, body)
    else:
        if events:
            await _stream(scope, receive, send, events)


async def _admit(scope: Scope, send: Send) -> "OperationEvents | None":
    """Return the viewer's events, or None after the answer that there are none for him."""
    user = await read(authenticate_scope, scope)
    if user is None:
        await _refuse(send, 401, {"detail": _unauthorized(scope)})
        return None
    try:
        operation = await read(_visible, user, scope["url_route"]["kwargs"]["operation_id"])
        after = _position(scope)
    except OperationNotFound as error:
        await _refuse(send, 404, {"detail": str(error), "code": error.code})
        return None
    except InvalidPosition as error:
        await _refuse(send, 400, {"detail": str(error), "code": error.code})
        return None
    if operation.is_finished and after > await read(logs.last_seq, operation.log_id):
        # The end was seen: EventSource stops asking after a 204.
        await _answer(send, 204, [], b"")
        return None
    return OperationEvents(user, operation, after)


def _visible(user: User, operation_id: UUID) -> Operation:
    operation = Operation.objects.visible_to(user).filter(pk=operation_id).first()
    if operation is None:
        raise OperationNotFound
    return operation


def _position(scope: Scope) -> int:
    """The number after which to go on: a reconnecting browser's header wins over the address."""
    headers = dict(scope["headers"])
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    text = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("after", ["0"])[0]
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidPosition("after and Last-Event-ID take the number of a line")
    return int(text)


class OperationEvents:
    """The events of one viewer, as the bytes that go out."""

    def __init__(self, user: User, operation: Operation, after: int) -> None:
        self._user = user
        self._operation = operation
        self._seq = after
        self._told_status = ""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        groups = (live.log_group(self._operation.log_id), operation_group(self._operation.pk))
        yield b"retry: 1000\n\n"
        async with _wake_ups(*groups) as wait:
            while True:
                async for event in self._news():
                    yield event
                if self._operation.is_finished or not await read(self._is_visible):
                    return
                async for keep_alive in wait():
                    yield keep_alive

    async def _news(self) -> AsyncIterator[bytes]:
        """All there is now; the end too, which was committed together with the last line."""
        with suppress(Operation.DoesNotExist):  # Deleted with its agent: it is not visible.
            await read(self._operation.refresh_from_db)
        if self._operation.status != self._told_status and not self._operation.is_finished:
            self._told_status = self._operation.status
            yield _event({"type": "status", "status": self._told_status})
        while chunk := await logs.cache.after(self._operation.log_id, self._seq):
            yield chunk.events
            self._seq = chunk.last_seq
        if self._operation.is_finished:
            yield self._end()

    def _end(self) -> bytes:
        end = {
            "type": "end",
            "status": self._operation.status,
            "exit_code": self._operation.exit_code,
        }
        return _event({"type": "status", "status": end["status"]}) + _event(end, self._seq + 1)

    def _is_visible(self) -> bool:
        # The person as he is now: he may have been disabled since the stream began.
        user = User.objects.filter(pk=self._user.pk).first() or AnonymousUser()
        return Operation.objects.visible_to(user).filter(pk=self._operation.pk).exists()


def _event(data: dict[str, Any], seq: int | None = None) -> bytes:
    identity = "" if seq is None else f"id: {seq}\n"
    return f"{identity}data: {json.dumps(data)}\n\n".encode()


@asynccontextmanager
async def _wake_ups(*groups: str) -> AsyncIterator[Callable[[], AsyncIterator[bytes]]]:
    """Give a wait for the next message of a group, which yields a comment when it gets long."""
    layer: Any = get_channel_layer()
    channel = await layer.new_channel("stream.")
    woken = asyncio.Event()

    async def hear() -> None:
        while True:
            await layer.receive(channel)
            woken.set()

    loop = asyncio.get_running_loop()
    quiet_since = loop.time()

    async def wait() -> AsyncIterator[bytes]:
        nonlocal quiet_since
        try:
            await asyncio.wait_for(woken.wait(), RECHECK_SECONDS)
        except TimeoutError:
            if loop.time() - quiet_since >= KEEP_ALIVE_SECONDS - RECHECK_SECONDS:
                quiet_since = loop.time()
                yield b": keep-alive\n\n"
        else:
            quiet_since = loop.time()
            woken.clear()

    for group in groups:
        await layer.group_add(group, channel)
    hearing = asyncio.create_task(hear())
    try:
        yield wait
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing
        for group in groups:
            await layer.group_discard(group, channel)


async def _stream(scope: Scope, receive: Receive, send: Send, events: OperationEvents) -> None:
    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        # Else nginx would hold the events back until a buffer is full.
        (b"x-accel-buffering", b"no"),
        *_cors(scope),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_all(send, events))
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _send_all(send: Send, events: OperationEvents) -> None:
    async for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cors(scope: Scope) -> list[tuple[bytes, bytes]]:
    origin = dict(scope["headers"]).get(b"origin", b"")
    if origin.decode("latin-1") not in settings.TRINITY_ALLOWED_ORIGINS:
        return []
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]


def _unauthorized(scope: Scope) -> str:
    has_header = b"authorization" in dict(scope["headers"])
    return "Could not validate credentials" if has_header else "Not authenticated"


async def _refuse(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await _answer(send, status, headers, json.dumps(body).encode())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
