"""Shapes of what comes in: JSON bodies, strict fields, and the problems found in them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import IO, Any

from rest_framework import serializers
from rest_framework.parsers import BaseParser

MAX_BODY_BYTES = 1024**2
MAX_DEPTH = 64  # far below Python's own limit, which an answer that quotes the input would meet
# NUL and lone halves of surrogate pairs, which no database takes.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")

Body = dict[str, Any]


class Malformed(Exception):
    """The request does not have the shape that is asked for, whoever sent it."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(problems)
        self.problems = problems

    @classmethod
    def whole(cls, kind: str, message: str) -> Malformed:
        return cls([{"type": kind, "loc": ["body"], "msg": message, "input": None}])


class JSONBodyParser(BaseParser):
    """Reads any body as a JSON object, whatever its Content-Type says; none at all is ``{}``."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> Body:
        raw = stream.read()
        if not raw.strip():
            return {}
        try:
            body = json.loads(raw.decode())
        # ValueError: no UTF-8, no JSON, or a number of thousands of digits.
        except (ValueError, RecursionError):
            raise Malformed.whole("json_invalid", "The body is not valid JSON") from None
        _refuse_unstorable(body)
        if not isinstance(body, dict):
            raise Malformed.whole("dict_type", "The body must be a JSON object")
        return body


def _refuse_unstorable(body: Any) -> None:
    """Refuse what Python's JSON takes and a database or an answer does not."""
    rest = [(body, 1)]
    while rest:
        value, depth = rest.pop()
        if depth > MAX_DEPTH:
            raise Malformed.whole("json_invalid", f"The body is nested deeper than {MAX_DEPTH}")
        match value:
            case dict():
                rest += [(inner, depth + 1) for pair in value.items() for inner in pair]
            case list():
                rest += [(inner, depth + 1) for inner in value]
            case str() if UNSTORABLE.search(value):
                raise Malformed.whole("string_type", "Text may not hold NUL or half characters")
            case float() if not math.isfinite(value):
                raise Malformed.whole("json_invalid", "Numbers must be finite")


def shaped(shape: type[serializers.Serializer[Any]], sent: Body, where: str) -> Body:
    try:
        return dict(_validator(shape).run_validation(sent))
    except serializers.ValidationError as error:
        problems = list(problems_of(error.detail, sent, [where]))
        if getattr(shape, "is_confidential", False):
            # Secrets are not repeated, however wrong the shape is that they came in.
            problems = [{**problem, "input": None} for problem in problems]
        raise Malformed(problems) from None


@cache
def _validator(shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    # Made once: each new one copies all of its fields, which takes longer than to look at a body.
    # To validate changes nothing in it, so that all threads may have the same.
    return shape()


def problems_of(detail: Any, sent: Any, path: list[str | int]) -> Iterator[dict[str, Any]]:
    """Flatten a serializer's errors into one problem for each place in what was sent."""
    match detail:
        case dict():
            for key, inner in detail.items():
                here = path if key == "non_field_errors" else [*path, key]
                yield from problems_of(inner, sent if here is path else _item(sent, key), here)
        case list():
            for index, inner in enumerate(detail):
                nested = isinstance(inner, dict | list)
                where = [*path, index] if nested else path
                yield from problems_of(inner, _item(sent, index) if nested else sent, where)
        case _:
            kind = getattr(detail, "code", "invalid")
            kind = "missing" if kind == "required" else kind
            yield {"type": kind, "loc": path, "msg": str(detail), "input": sent}


def _item(container: Any, key: str | int) -> Any:
    try:
        return container[key]
    except (KeyError, IndexError, TypeError):
        return None


# The fields take their own type and coerce nothing.


class Text(serializers.CharField):
    """A string as it was sent; whether it may be empty is for the domain to say."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_blank": True, "trim_whitespace": False, **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Whole(serializers.IntegerField):
    """An integer that the database can hold."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": -(2**63), "max_value": 2**63 - 1, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class Choice(serializers.ChoiceField):
    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Moment(serializers.DateTimeField):
    """A time; UTC where it has no offset."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="YYYY-MM-DDTHH:MM:SS.ffffffZ")
        return super().to_internal_value(value)


def texts(**kwargs: Any) -> serializers.ListField:
    """A list of strings."""
    return serializers.ListField(child=Text(), **kwargs)


def text_map(**kwargs: Any) -> serializers.DictField:
    """An object whose values are strings."""
    return serializers.DictField(child=Text(), **kwargs)
