"""Server-sent events of a log: its lines from a number on, and what is told beside them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

from channels.layers import get_channel_layer

from agents import live
from agents.database import read
from agents.output import logs
from agents.responses import Receive, Scope, Send, admitted, answer_at_once, respond
from trinity import poll_tokens
from trinity.errors import InsufficientScope, Invalid
from trinity.identity import POLLS_ONE, as_of_now
from trinity.models import User
from trinity.poll_tokens import Poller

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
# A share that was withdrawn ends the stream within this time; a lost wake-up costs as much.
RECHECK_SECONDS = 3.0

HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    # Else nginx would hold the events back until a buffer is full.
    (b"x-accel-buffering", b"no"),
]


class InvalidPosition(Invalid):
    code = "invalid_position"


class Followed(Protocol):
    """What a stream is about."""

    @property
    def log_id(self) -> int: ...

    @property
    def groups(self) -> Sequence[str]:
        """Whose messages wake the stream."""

    @property
    def is_over(self) -> bool:
        """No line follows those that were stored at the last look."""

    def look(self) -> None:
        """Look how things stand, in a thread."""

    def refresh(self, user: User) -> bool:
        """Look likewise; return False when the user may not see them any more."""

    def news(self) -> bytes:
        """What the last look found that was not told yet, beside the log's lines."""

    def end(self, seq: int) -> bytes:
        """What comes last, with its number."""


class Polled(Followed, Protocol):
    """What a poll token may open too."""

    def refresh(self, user: User | Poller) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Opened:
    followed: Followed
    seq: int
    is_seen_whole: bool
    refresh: Callable[[], bool]

    @classmethod
    def at(cls, scope: Scope, followed: Followed, refresh: Callable[[], bool]) -> "_Opened":
        seq = _position(scope)
        is_seen_whole = followed.is_over and seq > logs.last_seq(followed.log_id)
        return cls(followed, seq, is_seen_whole, refresh)


def _open(user: User, scope: Scope, followed: Followed) -> _Opened:
    def refresh() -> bool:
        now = as_of_now(user)
        return now is not None and followed.refresh(now)

    return _Opened.at(scope, followed, refresh)


def _open_polled(poller: Poller, scope: Scope, followed: Polled) -> _Opened:
    def refresh() -> bool:
        now = poll_tokens.as_of_now(poller)
        return now is not None and followed.refresh(now)

    return _Opened.at(scope, followed, refresh)


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    find: Callable[[User, dict[str, Any]], Followed],
    find_polled: Callable[[Poller, dict[str, Any]], Polled] | None = None,
) -> None:
    """Stream what ``find`` returns for the viewer and the route's arguments, or raises as none."""
    arguments = scope["url_route"]["kwargs"]

    def open_polled(poller: Poller, scope: Scope) -> _Opened:
        if find_polled is None:
            raise InsufficientScope(POLLS_ONE)
        return _open_polled(poller, scope, find_polled(poller, arguments))

    opened = await admitted(
        scope, send, lambda user, scope: _open(user, scope, find(user, arguments)), open_polled
    )
    if opened is None:
        return
    if opened.is_seen_whole:
        # EventSource stops asking after a 204.
        await answer_at_once(send, 204, [], b"")
        return
    await respond(receive, send, HEADERS, _kept_alive(_events(opened)))


def _position(scope: Scope) -> int:
    """The number after which to go on: a reconnecting browser's header wins over the address."""
    headers = dict(scope["headers"])
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    text = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("after", ["0"])[0]
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidPosition("after and Last-Event-ID take the number of a line")
    return int(text)


def event(data: dict[str, Any], seq: int | None = None) -> bytes:
    identity = "" if seq is None else f"id: {seq}\n"
    return f"{identity}data: {json.dumps(data)}\n\n".encode()


async def _kept_alive(parts: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Say that the stream lives where it is quiet for long; an empty part is an occasion."""
    loop = asyncio.get_running_loop()
    said_at = loop.time()
    async with aclosing(parts):
        async for part in parts:
            if part or loop.time() - said_at >= KEEP_ALIVE_SECONDS - RECHECK_SECONDS:
                yield part or KEEP_ALIVE
                said_at = loop.time()


async def _events(opened: _Opened) -> AsyncGenerator[bytes]:
    followed, seq = opened.followed, opened.seq
    loop = asyncio.get_running_loop()
    yield b"retry: 1000\n\n"
    recheck_at = loop.time() + RECHECK_SECONDS
    async with wake_ups(followed.groups) as wait:
        # Something may have happened since it was found.
        grown_to: int | None = None
        while True:
            # Not for each line: many viewers of a chatty log would cost little else but this.
            if loop.time() >= recheck_at:
                if not await read(opened.refresh):
                    return
                recheck_at, grown_to = loop.time() + RECHECK_SECONDS, None
            elif grown_to is None:
                await read(followed.look)
            if news := followed.news():
                yield news
            while (grown_to is None or seq < grown_to) and (
                chunk := await logs.cache.after(followed.log_id, seq)
            ):
                yield chunk.events
                seq = chunk.last_seq
                # A long log takes a while to send: its viewer is looked at again meanwhile.
                if loop.time() > recheck_at:
                    break
            else:
                if followed.is_over:
                    yield followed.end(seq + 1)
                    return
                grown_to = await wait(recheck_at - loop.time())
                yield b""


@asynccontextmanager
async def wake_ups(
    groups: Sequence[str],
) -> AsyncIterator[Callable[[float], Awaitable[int | None]]]:
    """Give a wait for the next message of a group, for at most so many seconds.

    It returns the number that a log has grown to when that is all that there is to look at.
    """
    layer: Any = get_channel_layer()
    channel = await layer.new_channel("stream.")
    woken = asyncio.Event()
    grown_to, is_news = 0, False

    async def hear() -> None:
        nonlocal grown_to, is_news
        while True:
            message = await layer.receive(channel)
            if message["type"] == live.GREW:
                grown_to = max(grown_to, message["seq"])
            else:
                is_news = True
            woken.set()

    async def wait(seconds: float) -> int | None:
        nonlocal is_news
        try:
            await asyncio.wait_for(woken.wait(), seconds)
        except TimeoutError:
            return None
        woken.clear()
        told, is_news = is_news, False
        return None if told else grown_to

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
