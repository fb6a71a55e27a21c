"""The audit trail of one agent, and the trail as a file, beside Django's handler."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

from django.db.models import Q, QuerySet
from django.http import QueryDict

from agents import access
from agents.database import read
from agents.errors import AgentNotFound
from agents.models import Agent
from agents.responses import Receive, Scope, Send, admitted, respond
from trinity import audit_trail
from trinity.identity import require_administrator
from trinity.models import AuditEvent, User
from trinity.models import Scope as TokenScope
from trinity.shapes import UNSTORABLE, Body, shaped

OWNERS_ONLY = "Only owners can read the audit trail of an agent"
# Lines that are read and sent at once.
PART = 1000

Events = QuerySet[AuditEvent]


def events_of(agent: Agent) -> Events:
    # A name is free again once its agent is deleted: what came before is another's history.
    events = AuditEvent.objects.filter(object_type="agent", object_name=agent.name)
    return events.filter(at__gte=agent.created_at)


async def audit_file(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/audit.csv``."""
    await _answer(scope, receive, send, _all)


async def agent_audit_file(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/agents/{name}/audit.csv``."""
    await _answer(scope, receive, send, _of_agent)


def _all(user: User, scope: Scope) -> Events:
    query = _query(scope)
    require_administrator(user, TokenScope.READ)
    return audit_trail.filtered(AuditEvent.objects.all(), query)


def _of_agent(user: User, scope: Scope) -> Events:
    query = _query(scope)
    name: str = scope["url_route"]["kwargs"]["name"]
    if UNSTORABLE.search(name):
        raise AgentNotFound
    agent = access.owned_agent(user, name, refusal=OWNERS_ONLY, scope=TokenScope.READ)
    return audit_trail.filtered(events_of(agent), query)


def _query(scope: Scope) -> Body:
    sent: dict[str, Any] = QueryDict(scope.get("query_string", b"")).dict()
    return shaped(audit_trail.FilterShape, sent, "query")


async def _answer(
    scope: Scope, receive: Receive, send: Send, find: Callable[[User, Scope], Events]
) -> None:
    events = await admitted(scope, send, find)
    if events is None:
        return
    headers = [
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", b'attachment; filename="audit.csv"'),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"private"),
    ]
    await respond(receive, send, headers, _text(events))


async def _text(events: Events) -> AsyncGenerator[bytes]:
    """The newest first, so that what is added meanwhile makes it no longer."""
    yield audit_trail.csv_head()
    last: AuditEvent | None = None
    while rows := await read(_part, events, last):
        yield audit_trail.csv_lines(rows)
        last = rows[-1]


def _part(events: Events, last: AuditEvent | None) -> list[AuditEvent]:
    if last:
        events = events.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk), at__lte=last.at)
    return list(events.order_by(*audit_trail.ORDER)[:PART])
