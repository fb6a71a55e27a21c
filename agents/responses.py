"""Answers given beside Django's handler, where each open response would hold a thread.

Who may have one, what refuses it, and sending until the viewer leaves.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated

from agents.database import read
from trinity.api import ErrorAnswer, answer_to
from trinity.errors import TrinityError
from trinity.identity import authenticate_scope
from trinity.models import User

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")


async def admitted(scope: Scope, send: Send, find: Callable[[User, Scope], T]) -> T | None:
    """Return what is found for the viewer, or None after the answer that he gets nothing.

    ``find`` runs in a thread and may raise what a view may.
    """
    try:
        return await read(_find, scope, find)
    except (TrinityError, APIException, DatabaseError) as error:
        await _refuse(send, answer_to(error))
        return None


def _find(scope: Scope, find: Callable[[User, Scope], T]) -> T:
    user = authenticate_scope(scope)
    if user is None and b"authorization" in dict(scope["headers"]):
        raise AuthenticationFailed("Could not validate credentials")
    if user is None:
        raise NotAuthenticated
    return find(user, scope)


async def _refuse(send: Send, answer: ErrorAnswer) -> None:
    told = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    headers = [(b"content-type", b"application/json"), *told]
    await answer_at_once(send, answer.status, headers, json.dumps(answer.body).encode())


async def answer_at_once(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond(
    scope: Scope, receive: Receive, send: Send, headers: Headers, parts: AsyncGenerator[bytes]
) -> None:
    """Send the parts one by one as they come, until they end or the viewer leaves."""
    headers = [*headers, *_cors(scope)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_all(send, parts))
    leaving = asyncio.create_task(_disconnected(receive))
    try:
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _cors(scope: Scope) -> Headers:
    origin = dict(scope["headers"]).get(b"origin", b"")
    if origin.decode("latin-1") not in settings.TRINITY_ALLOWED_ORIGINS:
        return []
    return [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
