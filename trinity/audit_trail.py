"""Reading the audit trail: the filters, the object that the API answers, the lines of a file."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypedDict

from django.db.models import QuerySet
from rest_framework import serializers

from trinity.answers import Time
from trinity.api import json_time
from trinity.models import AuditEvent
from trinity.pagination import PageShape
from trinity.shapes import Body, Text

#: Newest first, and ends with what is unique.
ORDER = ("-at", "-pk")
COLUMNS = (
    "id",
    "at",
    "actor",
    "token",
    "address",
    "verb",
    "object_type",
    "object_name",
    "outcome",
    "detail",
)
# A spreadsheet takes a cell that begins with one of these for a formula, and runs it.
FORMULA = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)


class EventObject(TypedDict):
    id: int
    at: Time
    actor: str
    token: str | None
    address: str | None
    verb: str
    object_type: str
    object_name: str
    outcome: Annotated[str, AuditEvent.Outcome]
    detail: str


class Moment(serializers.DateTimeField):
    """A time in a query, where all is text."""


class FilterShape(serializers.Serializer[Any]):
    actor = Text(required=False, max_length=150)
    verb = Text(required=False, max_length=40)
    object_type = Text(required=False, max_length=40)
    object_name = Text(required=False, max_length=100)
    outcome = serializers.ChoiceField(AuditEvent.Outcome.choices, required=False)
    since = Moment(required=False)
    until = Moment(required=False)


class TrailShape(FilterShape, PageShape):
    pass


LOOKUPS = {
    "actor": "actor_name",
    "verb": "verb",
    "object_type": "object_type",
    "object_name": "object_name",
    "outcome": "outcome",
    "since": "at__gte",
    "until": "at__lt",
}


def filtered(events: QuerySet[AuditEvent], query: Body) -> QuerySet[AuditEvent]:
    return events.filter(**{LOOKUPS[name]: query[name] for name in LOOKUPS if name in query})


def event_object(event: AuditEvent) -> EventObject:
    return {
        "id": event.pk,
        "at": json_time(event.at),
        "actor": event.actor_name,
        "token": event.token_name or None,
        "address": event.address,
        "verb": event.verb,
        "object_type": event.object_type,
        "object_name": event.object_name,
        "outcome": event.outcome,
        "detail": event.detail,
    }


def event_objects(events: Sequence[AuditEvent]) -> list[EventObject]:
    return [event_object(event) for event in events]


def csv_head() -> bytes:
    return _lines([COLUMNS])


def csv_lines(events: Iterable[AuditEvent]) -> bytes:
    objects: Iterable[Mapping[str, object]] = map(event_object, events)
    return _lines([_cell(told[name]) for name in COLUMNS] for told in objects)


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
