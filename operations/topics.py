"""Operations' topics of the live socket."""

from uuid import UUID

from agents import live
from agents.topics import Topic
from operations.execution import operation_group
from operations.models import Operation
from operations.reports import status_event
from trinity.models import User


def resolve(user: User, name: str) -> Topic | None:
    kind, _, rest = name.partition(":")
    if kind != "operation":
        return None
    text, _, part = rest.partition(":")
    try:
        operation_id = UUID(text)
    except ValueError:
        return None
    operation = (
        Operation.objects.visible_to(user).select_related("agent").filter(pk=operation_id).first()
    )
    if operation is None:
        return None
    match part:
        case "":
            snapshot = ("operation_status", status_event(operation))
            return Topic(name, operation_group(operation.pk), snapshot=snapshot)
        case "logs":
            return Topic(name, live.log_group(operation.log_id), log_id=operation.log_id)
        case _:
            return None
