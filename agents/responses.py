"""Answers given beside Django's handler, where each open response would hold a thread.

Who may have one, what refuses it, and sending until the viewer leaves.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated

from agents.database import read
from trinity.audit import Actor
from trinity.error_answers import ErrorAnswer, answer_to, record_refusal
from trinity.errors import Forbidden, InsufficientScope, TrinityError
from trinity.identity import POLLS_ONE, authenticate_scope, require_scope
from trinity.measures import VIEWERS
from trinity.models import Scope as TokenScope
from trinity.models import User
from trinity.poll_tokens import Poller
from trinity.shapes import Malformed

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")


async def admitted(
    scope: Scope,
    send: Send,
    find: Callable[[User, Scope], T],
    find_polled: Callable[[Poller, Scope], T] | None = None,
) -> T | None:
    """Return what is found for the viewer, or None after the answer that he gets nothing.

    ``find`` runs in a thread and may raise what a view may. Where there is a ``find_polled``,
    a poll token gets what that finds, else nothing.
    """
    try:
        return await read(_find, scope, find, find_polled)
    except (TrinityError, Malformed, APIException, DatabaseError) as error:
        await refuse(send, answer_to(error))
        return None


def _find(
    scope: Scope,
    find: Callable[[User, Scope], T],
    find_polled: Callable[[Poller, Scope], T] | None,
) -> T:
    user = authenticate_scope(scope)
    if user is None and b"authorization" in dict(scope["headers"]):
        raise AuthenticationFailed("Could not validate credentials")
    if user is None:
        raise NotAuthenticated
    try:
        if isinstance(user, Poller):
            return _find_polled(user, scope, find_polled)
        require_scope(user, TokenScope.READ)
        return find(user, scope)
    except Forbidden as error:
        record_refusal(error, Actor.of(user), scope["method"], scope["path"])
        raise


def _find_polled(poller: Poller, scope: Scope, find: Callable[[Poller, Scope], T] | None) -> T:
    if find is None:
        raise InsufficientScope(POLLS_ONE)
    return find(poller, scope)


async def refuse(send: Send, answer: ErrorAnswer) -> None:
    told = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    await answer_json(send, answer.status, answer.body, told)


async def answer_json(
    send: Send, status: int, body: Mapping[str, Any], headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [(b"content-type", b"application/json"), *headers]
    await answer_at_once(send, status, headers, json.dumps(body).encode())


async def answer_at_once(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond(
    receive: Receive, send: Send, headers: Headers, parts: AsyncGenerator[bytes]
) -> None:
    """Send the parts one by one as they come, until they end or the viewer leaves."""
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_all(send, parts))
    leaving = asyncio.create_task(disconnected(receive))
    try:
        with VIEWERS.labels("stream").track_inprogress():
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _send_all(send: Send, parts: AsyncGenerator[bytes]) -> None:
    async with aclosing(parts):
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def readable_elsewhere(scope: Scope, send: Send) -> Send:
    """Let pages of the listed origins read what is sent, a refusal too; never with cookies.

    A browser takes an answer that its page may not read for a lost connection: EventSource
    would ask again for ever, also after the 204 that tells it to stop.
    """
    origin = dict(scope["headers"]).get(b"origin", b"")
    if origin.decode("latin-1") not in settings.TRINITY_ALLOWED_ORIGINS:
        return send
    allowed = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]

    async def send_allowed(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *allowed]}
        await send(message)

    return send_allowed
