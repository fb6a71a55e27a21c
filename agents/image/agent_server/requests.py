"""The fields of a request, validated; everything in one comes from outside."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .wire import Refused

IDENTIFIER = re.compile(r"[0-9a-f-]{36}")
LARGEST_INTEGER = 2**63 - 1
OUTPUT_CAP_BYTES = 10_065_536


@dataclass(frozen=True, slots=True)
class Spec:
    """What an operation runs and how far it may go."""

    command: list[str]
    environment: dict[str, str]
    workdir: Path | None
    timeout_seconds: float | None
    output_cap_bytes: int

    @classmethod
    def parse(cls, fields: dict[str, Any], workspace: Path) -> Self:
        command = fields.get("command")
        if not command or not _is_list_of_text(command):
            raise _bad("command must be a list of strings")
        return cls(
            command=command,
            environment=environment(fields, "env"),
            workdir=_workdir(fields.get("workdir"), workspace),
            timeout_seconds=seconds(fields, "timeout_seconds"),
            output_cap_bytes=integer(
                {"output_cap_bytes": OUTPUT_CAP_BYTES} | fields, "output_cap_bytes"
            ),
        )


def identifier(fields: dict[str, Any]) -> str:
    text = fields.get("id")
    if not isinstance(text, str) or not IDENTIFIER.fullmatch(text):
        raise _bad("id must be 36 hex digits and dashes")
    return text


def integer(fields: dict[str, Any], name: str) -> int:
    number = fields.get(name)
    if type(number) is not int or not 0 <= number <= LARGEST_INTEGER:
        raise _bad(f"{name} must be a whole number from 0 on")
    return number


def environment(fields: dict[str, Any], name: str) -> dict[str, str]:
    variables = fields.get(name) or {}
    # Whatever is wrong with it, its values are not repeated: they may be secrets.
    if not isinstance(variables, dict) or not all(map(_is_variable, variables.items())):
        raise _bad(f"{name} must map names to strings")
    return variables


def seconds(fields: dict[str, Any], name: str) -> float | None:
    number = fields.get(name)
    if number is None:
        return None
    if type(number) not in {int, float} or not _is_duration(number):
        raise _bad(f"{name} must be a number of seconds from 0 on")
    return float(number)


def _is_duration(number: float) -> bool:
    return number <= LARGEST_INTEGER and math.isfinite(number) and number >= 0


def _workdir(text: object, workspace: Path) -> Path | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise _bad("workdir must be a path")
    path = Path(os.path.normpath(workspace / text))
    if not path.is_relative_to(workspace):
        raise _bad("workdir must be below the workspace")
    return path


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_variable(item: tuple[str, object]) -> bool:
    name, value = item
    if not isinstance(value, str) or "\0" in name + value:
        return False
    return bool(name) and "=" not in name


def _bad(detail: str) -> Refused:
    return Refused("bad_request", detail)
