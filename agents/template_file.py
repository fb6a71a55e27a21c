"""From the text of a ``template.yaml`` to a template; every problem is told in plain words.

The text is an operator's, but may come from anywhere: nothing of it is executed, and its size
and shape are bounded.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml
from django.conf import settings

from agents.limits import CPU_CHOICES, DISK_CHOICES, MEMORY_CHOICES
from trinity.shapes import UNSTORABLE

MAX_TEXT = 4000
MAX_WORD = 100
MAX_ITEMS = 100
MAX_ARGUMENT = 100_000

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
METRIC_TYPES = ("counter", "gauge", "percentage", "status", "duration", "bytes")

T = TypeVar("T")


class Broken(Exception):
    """Why no agent can be made from a template."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a template says; what it leaves out is as in the built-in one."""

    name: str
    display_name: str = ""
    description: str = ""
    type: str = "business-assistant"
    version: str = ""
    author: str = ""
    image: str = "trinity-agent-base:latest"
    memory: str = "4g"
    cpu: str = "2"
    disk: str = "10g"
    #: The agent's own main program, and what a prompt becomes; empty where there is none.
    command: list[str] = field(default_factory=list)
    prompt_command: list[str] = field(default_factory=list)
    #: Names of the environment that its programs need, each with what it is for.
    environment: dict[str, str] = field(default_factory=dict)
    capabilities: list[str] = field(default_factory=list)
    metrics: list[dict[str, str]] = field(default_factory=list)


def parse(raw: bytes) -> Content:
    """Return what the file says; raises Broken with the reason, complete for its author."""
    found = _mapping(_load(raw), "The file", list(_READERS))
    if "name" not in found:
        raise Broken("name is missing")
    fields: dict[str, Any] = {}
    for key, value in found.items():
        fields |= _READERS[key](value, key)
    content = Content(**fields)
    _check_image(content.image)
    return content


def _load(raw: bytes) -> Any:
    try:
        # BaseLoader makes lists, mappings and text, nothing else: no objects, and ``cpu: 2``,
        # ``version: 1.10`` or ``name: no`` are what stands there.
        return yaml.load(raw.decode(), Loader=yaml.BaseLoader)  # noqa: S506
    except UnicodeDecodeError:
        raise Broken("The file is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise Broken(f"The file is not valid YAML{where}: {_short(error.problem or '')}") from None
    except yaml.YAMLError as error:
        raise Broken(f"The file is not valid YAML: {_short(str(error))}") from None
    except RecursionError:
        raise Broken("The file is nested too deeply") from None


def _short(text: str) -> str:
    return " ".join(text.split())[:200]


def _check_image(image: str) -> None:
    if image not in settings.TRINITY_IMAGES:
        allowed = ", ".join(settings.TRINITY_IMAGES)
        raise Broken(f"image {image!r} is not on the list of TRINITY_IMAGES ({allowed})")


# Shapes. Never a repr of a list or mapping in a message: aliases make small files very long.


def _mapping(value: Any, what: str, known: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Broken(f"{what} must be a mapping of names to values")
    for key in value:
        if not isinstance(key, str) or key not in known:
            told = repr(key[:MAX_WORD]) if isinstance(key, str) else "something"
            raise Broken(f"{what} has {told}, but may only have: {', '.join(known)}")
    return value


def _text(value: Any, what: str, *, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise Broken(f"{what} must be text")
    if UNSTORABLE.search(value):
        raise Broken(f"{what} may not hold NUL or half characters")
    if len(value) > longest:
        raise Broken(f"{what} is longer than {longest} characters")
    return value


def _word(value: Any, what: str) -> str:
    word = _text(value, what, longest=MAX_WORD)
    if not word.strip() or not word.isprintable():
        raise Broken(f"{what} must be a line of text that is not empty")
    return word.strip()


def _list(value: Any, what: str, item: Callable[[Any, str], T]) -> list[T]:
    if not isinstance(value, list):
        raise Broken(f"{what} must be a list")
    if len(value) > MAX_ITEMS:
        raise Broken(f"{what} has more than {MAX_ITEMS} entries")
    return [item(each, f"{what}[{index}]") for index, each in enumerate(value)]


def _argument(value: Any, what: str) -> str:
    return _text(value, what, longest=MAX_ARGUMENT)


def _choice(value: Any, what: str, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise Broken(f"{what} must be one of: {', '.join(choices)}")
    return value


# One reader for each key; it returns the fields that the key fills.

Fields = dict[str, Any]


def _read_word(value: Any, key: str) -> Fields:
    return {key: _word(value, key)}


def _read_type(value: Any, key: str) -> Fields:
    word = _word(value, key)
    if len(word) > 63:
        raise Broken("type is longer than 63 characters")
    return {key: word}


def _read_image(value: Any, key: str) -> Fields:
    return {key: _text(value, key, longest=255)}


def _read_text(value: Any, key: str) -> Fields:
    return {key: _text(value, key).strip()}


def _read_resources(value: Any, key: str) -> Fields:
    choices = {"cpu": CPU_CHOICES, "memory": MEMORY_CHOICES, "disk": DISK_CHOICES}
    found = _mapping(value, key, list(choices))
    return {each: _choice(found[each], f"{key}.{each}", choices[each]) for each in found}


def _read_command(value: Any, key: str) -> Fields:
    command = _list(value, key, _argument)
    if command and not command[0]:
        raise Broken(f"{key} must begin with the name of a program")
    return {key: command}


def _read_environment(value: Any, key: str) -> Fields:
    """A list of names, or a mapping of each to what it is for."""
    if isinstance(value, dict):
        named = {_name(name, key): _text(told, f"{key}.{name}") for name, told in value.items()}
        if len(named) > MAX_ITEMS:
            raise Broken(f"{key} has more than {MAX_ITEMS} entries")
        return {key: named}
    return {key: dict.fromkeys(_list(value, key, _name), "")}


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not _ENVIRONMENT_NAME.fullmatch(value):
        raise Broken(f"{what} must name variables by letters, digits and underscores")
    if value.startswith("TRINITY_"):
        raise Broken(f"{what} may not name {value[:MAX_WORD]}: TRINITY_ is Trinity's own")
    return value


def _read_words(value: Any, key: str) -> Fields:
    return {key: _list(value, key, _word)}


def _read_metrics(value: Any, key: str) -> Fields:
    return {key: _list(value, key, _metric)}


def _metric(value: Any, what: str) -> dict[str, str]:
    found = _mapping(value, what, ["name", "type", "label"])
    if "name" not in found:
        raise Broken(f"{what}.name is missing")
    name = _word(found["name"], f"{what}.name")
    return {
        "name": name,
        "type": _choice(found.get("type", "gauge"), f"{what}.type", METRIC_TYPES),
        "label": _word(found.get("label", name), f"{what}.label"),
    }


_READERS: dict[str, Callable[[Any, str], Fields]] = {
    "name": _read_word,
    "display_name": _read_word,
    "description": _read_text,
    "type": _read_type,
    "version": _read_word,
    "author": _read_word,
    "image": _read_image,
    "resources": _read_resources,
    "command": _read_command,
    "prompt_command": _read_command,
    "environment": _read_environment,
    "capabilities": _read_words,
    "metrics": _read_metrics,
}
