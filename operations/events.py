"""Server-sent events of an operation: its log from a number on, its states, its end."""

from typing import Any
from uuid import UUID

from agents import events, live
from agents.events import Message, event
from agents.responses import Receive, Scope, Send
from operations.access import visible_operation
from operations.endings import operation_group
from operations.models import Operation, OperationQuerySet
from trinity.models import User
from trinity.poll_tokens import Poller

UNFINISHED = {Operation.Status.STARTING, Operation.Status.PROCESSING}


async def operation_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/v1/operations/{id}/stream``; ``id`` stands in the route's arguments."""
    await events.serve(scope, receive, send, OperationEvents.find, OperationEvents.find)


class OperationEvents:
    """What is told of one operation beside its lines."""

    def __init__(self, operation_id: UUID, log_id: int, status: str, exit_code: int | None) -> None:
        self._id, self._status, self._exit_code = operation_id, status, exit_code
        self._told_status = ""
        self.log_id = log_id
        self.groups = (live.log_group(log_id), operation_group(operation_id))

    @classmethod
    def find(cls, user: User | Poller, arguments: dict[str, Any]) -> "OperationEvents":
        operation_id = arguments["operation_id"]
        # Four columns: many are opened just when their operations begin, and would hold them up.
        fields = ("pk", "log_id", "status", "exit_code")
        if found := _one(Operation.objects.visible_to(user), operation_id, *fields):
            return cls(*found)
        # Raises, and records the refusal.
        operation = visible_operation(user, operation_id)
        return cls(operation.pk, operation.log_id, operation.status, operation.exit_code)

    @property
    def is_over(self) -> bool:
        # Recorded together with the last line.
        return self._status not in UNFINISHED

    def look(self) -> int:
        return self._look_among(Operation.objects.all()) or 0

    def refresh(self, user: User | Poller) -> int | None:
        return self._look_among(Operation.objects.visible_to(user))

    def _look_among(self, operations: OperationQuerySet) -> int | None:
        found = _one(operations, self._id, "status", "exit_code", "log__last_seq")
        if found is None:
            return None
        self._status, self._exit_code, last_seq = found
        return int(last_seq)

    def hear(self, message: Message) -> None:
        data = message["data"]
        # One that was sent before the end may come after it was read. And names of channels are
        # drawn at random: who had this one before may have left something in it.
        if not self.is_over and data["id"] == str(self._id):
            self._status, self._exit_code = data["status"], data["exit_code"]

    def news(self) -> bytes:
        status = self._status
        if status == self._told_status or self.is_over:
            return b""
        self._told_status = status
        return event({"type": "status", "status": status})

    def end(self, seq: int) -> bytes:
        status, exit_code = self._status, self._exit_code
        end = {"type": "end", "status": status, "exit_code": exit_code}
        return event({"type": "status", "status": status}) + event(end, seq)


def _one(operations: OperationQuerySet, operation_id: UUID, *fields: str) -> tuple[Any, ...] | None:
    found = operations.filter(pk=operation_id).order_by().values_list(*fields)
    return next(iter(found), None)
