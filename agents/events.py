"""Server-sent events of a log: its lines from a number on, and what is told beside them."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from channels.layers import get_channel_layer

from agents import live
from agents.database import read
from agents.output import logs, shared_chunks
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


Message = dict[str, Any]
Refresh = Callable[[], int | None]


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
        """No line follows those that are stored by now."""

    def look(self) -> int:
        """Look how things stand, in a thread; return the number of the log's last line."""

    def refresh(self, user: User) -> int | None:
        """Look likewise; return None when the user may not see them any more."""

    def hear(self, message: Message) -> None:
        """Learn how things stand from what the groups were told; growth is left out."""

    def news(self) -> bytes:
        """What was learnt and not told yet, beside the log's lines."""

    def end(self, seq: int) -> bytes:
        """What comes last, with its number."""


class Polled(Followed, Protocol):
    """What a poll token may open too."""

    def refresh(self, user: User | Poller) -> int | None: ...


@dataclass(frozen=True, slots=True)
class _Opened:
    followed: Followed
    seq: int
    is_seen_whole: bool
    refresh: Refresh

    @classmethod
    def at(cls, scope: Scope, followed: Followed, refresh: Refresh) -> "_Opened":
        seq = _position(scope)
        is_seen_whole = followed.is_over and seq > logs.last_seq(followed.log_id)
        return cls(followed, seq, is_seen_whole, refresh)


def _open(user: User, scope: Scope, followed: Followed) -> _Opened:
    def refresh() -> int | None:
        now = as_of_now(user)
        return followed.refresh(now) if now else None

    return _Opened.at(scope, followed, refresh)


def _open_polled(poller: Poller, scope: Scope, followed: Polled) -> _Opened:
    def refresh() -> int | None:
        now = poll_tokens.as_of_now(poller)
        return followed.refresh(now) if now else None

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


class Heard(NamedTuple):
    """What the groups were told meanwhile."""

    #: The highest number that a log has grown to, by any message.
    grown_to: int
    #: The last message that was about more than that.
    message: Message | None


Wait = Callable[[float], Awaitable[Heard | None]]


async def _events(opened: _Opened) -> AsyncGenerator[bytes]:
    yield b"retry: 1000\n\n"
    followed = opened.followed
    with shared_chunks.cache.followed(followed.log_id):
        async with wake_ups(followed.groups) as wait, aclosing(_parts(opened, wait)) as parts:
            async for part in parts:
                yield part


async def _parts(opened: _Opened, wait: Wait) -> AsyncGenerator[bytes]:
    followed, seq = opened.followed, opened.seq
    loop = asyncio.get_running_loop()
    recheck_at = loop.time() + RECHECK_SECONDS
    # Something may have happened since it was found.
    grown_to: int | None = await read(followed.look)
    while grown_to is not None:
        if news := followed.news():
            yield news
        while seq < grown_to and (chunk := await shared_chunks.cache.after(followed.log_id, seq)):
            yield chunk.events
            seq = chunk.last_seq
            # A long log takes a while to send: its viewer is looked at again meanwhile.
            if loop.time() > recheck_at:
                break
        else:
            if followed.is_over:
                yield followed.end(seq + 1)
                return
            heard = await wait(recheck_at - loop.time())
            yield b""
            if heard:
                grown_to = max(grown_to, heard.grown_to)
                if heard.message:
                    followed.hear(heard.message)
        # Not for each line: many viewers of a chatty log would cost little else but this.
        if loop.time() >= recheck_at:
            grown_to = await read(opened.refresh)
            recheck_at = loop.time() + RECHECK_SECONDS


@asynccontextmanager
async def wake_ups(groups: Sequence[str]) -> AsyncIterator[Wait]:
    """Give a wait for the next message of a group, for at most so many seconds."""
    layer: Any = get_channel_layer()
    channel = await layer.new_channel("stream.")
    woken = asyncio.Event()
    grown_to, last = 0, None

    async def hear() -> None:
        nonlocal grown_to, last
        while True:
            message = await layer.receive(channel)
            grown_to = max(grown_to, message.get("seq", 0))
            if message["type"] != live.GREW:
                last = message
            woken.set()

    async def wait(seconds: float) -> Heard | None:
        nonlocal last
        try:
            # Not wait_for, which in Python 3.11 loses a cancellation that comes with the wake.
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            return None
        woken.clear()
        heard, last = Heard(grown_to, last), None
        return heard

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
