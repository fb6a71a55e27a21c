"""Figures that an agent writes into ``metrics.json`` of its workspace, checked.

The file is the agent's: it may hold anything, of any length, or change while it is read.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime

from agents.answers.templates import MetricDefinition
from agents.template_file import METRIC_TYPES
from trinity.api import json_time
from trinity.shapes import UNSTORABLE

FILE = "metrics.json"
FILE_BYTES = 64 * 1024
MAX_ENTRIES = 200
MAX_WORD = 100
MAX_TEXT = 500


class Unusable(Exception):
    """Why the file tells nothing; for the agent's author."""


@dataclass(frozen=True, slots=True)
class Reported:
    definitions: list[MetricDefinition]
    values: dict[str, Any]
    last_updated: str | None


def parse(raw: bytes, defaults: list[dict[str, str]]) -> Reported:
    """Return what the file says; ``defaults`` are the template's definitions."""
    found = _load(raw)
    values = found.get("values")
    if not isinstance(values, dict) or len(values) > MAX_ENTRIES:
        raise Unusable(f"values must be an object of at most {MAX_ENTRIES} entries")
    definitions = found.get("definitions", defaults)
    if not isinstance(definitions, list) or len(definitions) > MAX_ENTRIES:
        raise Unusable(f"definitions must be a list of at most {MAX_ENTRIES} entries")
    return Reported(
        [_definition(each, index) for index, each in enumerate(definitions)],
        {_word(name, "a name in values"): _value(value, name) for name, value in values.items()},
        _time(found.get("last_updated")),
    )


def _load(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw.decode())
    # ValueError: no UTF-8, no JSON, or a number of thousands of digits.
    except (ValueError, RecursionError):
        raise Unusable("it is not valid JSON") from None
    if not isinstance(found, dict):
        raise Unusable("it must hold an object")
    return found


def _word(value: Any, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_WORD or not value.isprintable():
        raise Unusable(f"{what} must be text of 1 to {MAX_WORD} characters")
    return value


def _definition(value: Any, index: int) -> MetricDefinition:
    what = f"definitions[{index}]"
    if not isinstance(value, dict):
        raise Unusable(f"{what} must be an object")
    name = _word(value.get("name"), f"{what}.name")
    kind = value.get("type", "gauge")
    if not isinstance(kind, str) or kind not in METRIC_TYPES:
        raise Unusable(f"{what}.type must be one of: {', '.join(METRIC_TYPES)}")
    return {"name": name, "type": kind, "label": _word(value.get("label", name), f"{what}.label")}


def _value(value: Any, name: str) -> Any:
    match value:
        case None | bool():
            return value
        # A 64-bit number, which every program that reads the answer can hold.
        case int() if abs(value) < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
        case str() if len(value) <= MAX_TEXT and not UNSTORABLE.search(value):
            return value
    raise Unusable(
        f"the value of {name} must be a finite number, true, false, null, "
        f"or text of at most {MAX_TEXT} characters"
    )


def _time(value: Any) -> str | None:
    if value is None:
        return None
    try:
        found = parse_datetime(value)
        if found is not None:
            return json_time(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unusable("last_updated must be a time such as 2026-01-31T12:00:00Z")
