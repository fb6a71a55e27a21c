"""Server-sent events of an operation: its log from a number on, its states, its end."""

from typing import Any

from agents import events, live
from agents.events import event
from agents.responses import Receive, Scope, Send
from operations.access import visible_operation
from operations.endings import operation_group
from operations.models import Operation
from trinity.models import User
from trinity.poll_tokens import Poller


async def operation_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/v1/operations/{id}/stream``; ``id`` stands in the route's arguments."""
    await events.serve(scope, receive, send, OperationEvents.find, OperationEvents.find)


class OperationEvents:
    """What is told of one operation beside its lines."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._told_status = ""
        self.log_id = operation.log_id
        self.groups = (live.log_group(operation.log_id), operation_group(operation.pk))

    @classmethod
    def find(cls, user: User | Poller, arguments: dict[str, Any]) -> "OperationEvents":
        return cls(visible_operation(user, arguments["operation_id"]))

    @property
    def is_over(self) -> bool:
        # Recorded together with the last line.
        return self._operation.is_finished

    def refresh(self, user: User | Poller) -> bool:
        found = Operation.objects.visible_to(user).filter(pk=self._operation.pk).first()
        self._operation = found or self._operation
        return found is not None

    def news(self) -> bytes:
        status = self._operation.status
        if status == self._told_status or self.is_over:
            return b""
        self._told_status = status
        return event({"type": "status", "status": status})

    def end(self, seq: int) -> bytes:
        status, exit_code = self._operation.status, self._operation.exit_code
        end = {"type": "end", "status": status, "exit_code": exit_code}
        return event({"type": "status", "status": status}) + event(end, seq)
