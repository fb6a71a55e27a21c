"""Lists by pages: a page goes on behind the last row of the one before, not at a number of rows.

So nothing is passed over or told twice when rows come and go between two pages, and the last
page of a long list costs as little as the first.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from trinity.shapes import Body, Malformed, Text

M = TypeVar("M", bound=Model)


class PageShape(serializers.Serializer[Any]):
    limit = serializers.IntegerField(default=100, min_value=1, max_value=1000)
    cursor = Text(required=False)


def page(
    request: Request,
    rows: QuerySet[M],
    query: Body,
    told: Callable[[Sequence[M]], Any],
    *order: str,
) -> Response:
    """Answer what ``told`` makes of one page, with a link to the next where there is one.

    ``order`` names the columns, with ``-`` for descending ones, and ends with a unique one.
    """
    found = list(_behind(rows, query.get("cursor"), order).order_by(*order)[: query["limit"] + 1])
    shown = found[: query["limit"]]
    answer = Response(told(shown))
    if len(found) > len(shown):
        answer["Link"] = f'<{_next(request, _cursor(shown[-1], order))}>; rel="next"'
    return answer


def _behind(rows: QuerySet[M], cursor: str | None, order: Sequence[str]) -> QuerySet[M]:
    if cursor is None:
        return rows
    values = _values(cursor, rows.model, order)
    behind = Q()
    for position, column in enumerate(order):
        before = dict(zip(map(_name, order[:position]), values, strict=False))
        behind |= Q(**before, **{_beyond(column): values[position]})
    # Says no more than the other condition, but in a form that an index answers.
    first, value = order[0], values[0]
    return rows.filter(behind, **{_beyond(first) + "e": value})


def _name(column: str) -> str:
    return column.removeprefix("-")


def _beyond(column: str) -> str:
    return f"{_name(column)}__{'lt' if column.startswith('-') else 'gt'}"


def _cursor(row: Model, order: Sequence[str]) -> str:
    values = [getattr(row, _name(column)) for column in order]
    return signing.dumps([_text(value) for value in values], salt=_salt(type(row), order))


def _text(value: Any) -> Any:
    match value:
        case datetime():
            return [value.isoformat()]
        case UUID():
            return str(value)
    return value


def _values(cursor: str, model: type[Model], order: Sequence[str]) -> list[Any]:
    try:
        texts = signing.loads(cursor, salt=_salt(model, order))
    except signing.BadSignature:
        problem = {
            "type": "invalid_cursor",
            "loc": ["query", "cursor"],
            "msg": "Not a cursor of this list: take it from the Link of the page before",
            "input": cursor,
        }
        raise Malformed([problem]) from None
    return [parse_datetime(text[0]) if isinstance(text, list) else text for text in texts]


def _salt(model: type[Model], order: Sequence[str]) -> str:
    """What makes a cursor one of this list and of no other."""
    return ":".join(["cursor", model._meta.label, *order])  # noqa: SLF001  # Django's public API


def _next(request: Request, cursor: str) -> str:
    # Without scheme and host, which a proxy may have changed.
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"{request.path}?{query.urlencode()}"
