"""The one end of an operation: recorded together with all that it is the end of, then told."""

from typing import Any
from uuid import UUID

from agents import activities, live
from agents.database import read
from agents.models import Activity
from operations.models import Operation
from operations.reports import status_event


def operation_group(operation_id: UUID) -> str:
    return f"operation.{operation_id}"


def end(operation: Operation, status: Operation.Status, **outcome: Any) -> list[Activity]:
    """Record the outcome, and with it the end of the activities that it is the work of."""
    if not operation.finish(status, **outcome):
        return []
    return end_activities(operation, status, **outcome)


def end_activities(
    operation: Operation,
    status: Operation.Status,
    *,
    error: str = "",
    summary: str = "",
    exit_code: int | None = None,
    **_others: Any,
) -> list[Activity]:
    succeeded = status == Operation.Status.SUCCEEDED
    return activities.end_execution(
        operation.pk,
        Activity.State.COMPLETED if succeeded else Activity.State.FAILED,
        error="" if succeeded else summary or error or str(status),
        details={"status": str(status), "exit_code": exit_code},
    )


async def announce(operation: Operation) -> None:
    """Tell those who watch it what is recorded of it now."""
    await live.send(operation_group(operation.pk), await read(_message, operation))


def announce_from_thread(operation: Operation) -> None:
    live.send_from_thread(operation_group(operation.pk), _message(operation))


def _message(operation: Operation) -> dict[str, Any]:
    # These alone: a full refresh would drop the agent, and load it again outside a thread.
    operation.refresh_from_db(fields=["status", "exit_code", "error", "summary"])
    data = status_event(operation)
    topic = f"operation:{operation.pk}"
    return {"type": "operation.event", "topic": topic, "event": "operation_status", "data": data}
