"""What a method of the API answers, named beside it: the OpenAPI document is made from that.

Answers are a ``TypedDict`` each. The code which builds one is annotated with it, so mypy holds
the two together; the tests hold every answer against the document.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, TypeVar

from rest_framework.serializers import Serializer

Method = TypeVar("Method", bound=Callable[..., Any])
Shape = type[Serializer[Any]]

#: What a text holds stands behind it: a format, or the choices that it is one of.
Time = Annotated[str, "date-time"]
Id = Annotated[str, "uuid"]


class Message(TypedDict):
    message: str


class Error(TypedDict):
    """``code`` is stable, ``detail`` is for people."""

    detail: str
    code: str


class Unauthenticated(TypedDict):
    detail: str


class Problem(TypedDict):
    type: str
    loc: list[str | int]
    msg: str
    input: Any


class Malformed(TypedDict):
    detail: list[Problem]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a method answers and reads; ``types`` has those that are not plain errors."""

    types: Mapping[int, Any]
    media_type: str
    errors: tuple[int, ...]
    query: Shape | None
    takes_bytes: bool


def answers(
    type: Any,
    *errors: int,
    status: int = 200,
    also: Mapping[int, Any] | None = None,
    media_type: str = "application/json",
    query: Shape | None = None,
    takes_bytes: bool = False,
) -> Callable[[Method], Method]:
    """Name the type of the answer, None for no body, and the errors beside the usual ones.

    ``trinity.schema`` adds those: 401, 403 and 503 nearly everywhere, 404 where the path has
    a name, 422 where something has a shape. ``also`` are further statuses with a type of their
    own. It stands above the decorators of the body.
    """
    told = Answers({status: type, **(also or {})}, media_type, errors, query, takes_bytes)

    def decorate(method: Method) -> Method:
        # A function has no such attribute for the type checker.
        setattr(method, "answers", told)  # noqa: B010
        return method

    return decorate
