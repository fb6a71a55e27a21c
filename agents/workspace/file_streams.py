"""Files of a workspace as streams beside Django's handler: never whole in memory."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from urllib.parse import quote

from rest_framework.exceptions import PermissionDenied

from agents import access, activities
from agents.answers.files import Uploaded
from agents.database import read
from agents.errors import AgentNotFound
from agents.models import Activity, Agent
from agents.responses import Headers, Receive, Scope, Send, admitted, answer_json, refuse, respond
from agents.workspace import files
from agents.workspace.files import FILE_BYTES, TOO_LARGE, FilePath
from trinity.audit import Actor, record
from trinity.error_answers import answer_to
from trinity.errors import TooLarge, TrinityError
from trinity.models import AuditEvent, User
from trinity.shapes import UNSTORABLE

Outcome = AuditEvent.Outcome


@dataclass(frozen=True, slots=True)
class _Asked:
    agent: Agent
    path: FilePath
    actor: Actor


class _Interrupted(Exception):
    """The client left before it had sent everything."""


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/agents/{name}/files/download``."""
    asked = await admitted(scope, send, _may_read)
    if asked is None:
        return
    async with AsyncExitStack() as stack:
        try:
            opened = files.opened(asked.agent, asked.path)
            size, parts = await stack.enter_async_context(opened)
        except TrinityError as error:
            await refuse(send, answer_to(error))
            return
        await stack.enter_async_context(_activity(asked, "download"))
        await respond(receive, send, _headers(asked.path.name, size), parts)


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``PUT /api/agents/{name}/files``: the body is the file.

    Nothing of the body is read before everything else about the request is known to be right.
    """
    asked = await admitted(scope, send, _may_write)
    if asked is None:
        return
    try:
        async with _activity(asked, "upload"):
            size = await files.store(asked.agent, asked.path, _body(receive))
    except _Interrupted:
        await _record(asked, Outcome.FAILED, "interrupted")
    except TrinityError as error:
        await _record(asked, Outcome.FAILED, str(error))
        await refuse(send, answer_to(error))
    else:
        await _record(asked, Outcome.DONE)
        told: Uploaded = {"success": True, "path": asked.path.relative, "size": size}
        await answer_json(send, 200, told)


def _may_read(user: User, scope: Scope) -> _Asked:
    agent = access.visible_agent(user, _name(scope))
    return _Asked(agent, _path(scope), Actor.of(user))


def _may_write(user: User, scope: Scope) -> _Asked:
    _require_origin(scope)
    agent = access.operable_agent(user, _name(scope))
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if int(length) > FILE_BYTES:
        raise TooLarge(TOO_LARGE)
    return _Asked(agent, _path(scope), Actor.of(user))


def _require_origin(scope: Scope) -> None:
    """Refuse a cookie that another site's page may have sent.

    That an origin is this site's has been looked at; but without one nothing was.
    """
    headers = dict(scope["headers"])
    if b"authorization" not in headers and b"origin" not in headers:
        raise PermissionDenied("CSRF Failed: with a cookie an Origin header is needed")


def _name(scope: Scope) -> str:
    name: str = scope["url_route"]["kwargs"]["name"]
    if UNSTORABLE.search(name):
        raise AgentNotFound
    return name


def _path(scope: Scope) -> FilePath:
    return FilePath.asked_for(scope.get("query_string", b"").decode("latin-1"))


def _headers(name: str, size: int) -> Headers:
    return [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(size).encode()),
        (b"content-disposition", _disposition(name).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"private"),
    ]


def _disposition(name: str) -> str:
    """Name the file twice: in plain characters, and as it is for who knows RFC 6266."""
    plain = "".join(
        each if each.isascii() and (each.isalnum() or each in "._- ") else "_" for each in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _body(receive: Receive) -> AsyncGenerator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Interrupted
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _activity(asked: _Asked, action: str) -> AbstractAsyncContextManager[None]:
    details = {"action": action, "path": asked.path.relative}
    return activities.recorded_beside(
        asked.agent, Activity.Type.FILE_ACCESS, asked.actor, details=details
    )


async def _record(asked: _Asked, outcome: Outcome, reason: str = "") -> None:
    detail = ": ".join(filter(None, [asked.path.relative, reason]))
    agent = asked.agent.name
    await read(record, asked.actor, "upload_file", "agent", agent, outcome=outcome, detail=detail)
