"""Operations' topics of the live socket."""

from collections.abc import Callable
from uuid import UUID

from agents import live
from agents.topics import Topic
from operations import queue
from operations.access import visible_operation
from operations.endings import operation_group
from operations.errors import OperationNotFound
from operations.models import Operation
from operations.reports import status_event
from trinity.models import User


def _status(name: str, operation: Operation) -> Topic:
    place = queue.positions([operation]).get(operation.pk)
    snapshot = ("operation_status", status_event(operation, queue_position=place))
    return Topic(name, operation_group(operation.pk), snapshot=snapshot)


def _logs(name: str, operation: Operation) -> Topic:
    return Topic(name, live.log_group(operation.log_id), log_id=operation.log_id)


#: All the topics of one operation, by what follows its id.
PARTS: dict[str, Callable[[str, Operation], Topic]] = {"": _status, ":logs": _logs}


def resolve(user: User, name: str) -> Topic | None:
    kind, _, rest = name.partition(":")
    if kind != "operation":
        return None
    text, colon, part = rest.partition(":")
    try:
        operation_id = UUID(text)
    except ValueError:
        return None
    try:
        operation = visible_operation(user, operation_id)
    except OperationNotFound:
        return None
    make = PARTS.get(colon + part)
    return make(name, operation) if make else None
