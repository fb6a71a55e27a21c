"""What a grant's caller may set: how each parameter is described, checked and put in.

A value becomes text within one argument of the command, or the value of a variable. No shell
sees it, so it cannot become anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: Keys of a signed request with a meaning of their own.
RESERVED = {"permission_id", "nonce", "expires_at"}
TYPES: dict[str, type] = {"text": str, "integer": int, "boolean": bool}
LONGEST = 10_000


class BadParameter(ValueError):
    """The text says what is wrong: with the description, or with a value for it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    type: str
    max_length: int = 200
    pattern: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    #: The variable it becomes, too.
    env: str | None = None
    #: What it is where the caller says nothing; without one he must.
    default: Any = None

    @classmethod
    def described(cls, name: str, description: Any) -> Parameter:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise BadParameter(f"{name!r} cannot be the name of a parameter")
        if not isinstance(description, dict) or description.get("type") not in list(TYPES):
            raise BadParameter(f'{name}: "type" must be one of {", ".join(TYPES)}')
        unknown = description.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise BadParameter(f"{name}: {sorted(unknown)[0]!r} means nothing here")
        parameter = cls(**description)
        parameter._check(name)
        return parameter

    def _check(self, name: str) -> None:
        for number in (self.max_length, self.minimum or 0, self.maximum or 0):
            if type(number) is not int:
                raise BadParameter(f"{name}: max_length, minimum and maximum are whole numbers")
        if not 1 <= self.max_length <= LONGEST:
            raise BadParameter(f"{name}: max_length must be 1 to {LONGEST}")
        if self.env is not None and not _is_variable(self.env):
            raise BadParameter(f"{name}: {self.env!r} cannot be the name of a variable")
        try:
            re.compile(self.pattern or "")
        except (re.error, TypeError) as error:
            raise BadParameter(f"{name}: the pattern is no regular expression: {error}") from None
        if self.default is not None:
            self.text_of(name, self.default)

    def text_of(self, name: str, value: Any) -> str:
        """Return the value as it is put in; raise BadParameter for one that does not fit."""
        if type(value) is not TYPES[self.type]:
            raise BadParameter(f"{name} must be of type {self.type}")
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int):
            return self._number(name, value)
        return self._text(name, value)

    def _number(self, name: str, value: int) -> str:
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            raise BadParameter(f"{name} must lie between {low} and {high}")
        # Python writes no number of thousands of digits.
        if abs(value) >= 2**63:
            raise BadParameter(f"{name} is too large")
        return str(value)

    def _text(self, name: str, value: Any) -> str:
        if len(value) > self.max_length:
            raise BadParameter(f"{name} must not be longer than {self.max_length} characters")
        if self.pattern is None and value.startswith("-"):
            # The program could take it for an option.
            raise BadParameter(f"{name} must not begin with a dash")
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise BadParameter(f"{name} must match {self.pattern}")
        return str(value)


def _is_variable(name: Any) -> bool:
    return (
        isinstance(name, str)
        and VARIABLE.fullmatch(name) is not None
        and not name.startswith("TRINITY_")
    )


def placeholders(template: str) -> set[str]:
    return set(PLACEHOLDER.findall(template))


def filled(template: str, texts: Mapping[str, str]) -> str:
    """Put the texts in; in one go, so that what stands in one of them is put in nowhere."""
    return PLACEHOLDER.sub(lambda found: texts.get(found[1], found[0]), template)
