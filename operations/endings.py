"""The one end of an operation: recorded together with all that it is the end of, then told."""

from typing import Any
from uuid import UUID

from agents import activities, live
from agents.models import Activity
from operations.models import Operation
from operations.reports import status_event


def operation_group(operation_id: UUID) -> str:
    return f"operation.{operation_id}"


def end(operation: Operation, status: Operation.Status, **outcome: Any) -> list[Activity] | None:
    """Record the outcome, and with it the end of the activities that it is the work of.

    Return these, to be told; None where another outcome came first, which whoever recorded it
    has told. The operation then has what is recorded.
    """
    if not operation.finish(status, **outcome):
        # These alone: a full refresh would drop the agent, and load it again outside a thread.
        operation.refresh_from_db(fields=["status", "exit_code", "error", "summary"])
        return None
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


async def announce(operation: Operation, last_seq: int = 0) -> None:
    """Tell those who watch it how it stands, and how far its log goes."""
    await live.send(operation_group(operation.pk), _message(operation, last_seq))


def announce_from_thread(operation: Operation) -> None:
    live.send_from_thread(operation_group(operation.pk), _message(operation, 0))


def _message(operation: Operation, last_seq: int) -> dict[str, Any]:
    return {
        "type": "operation.event",
        "topic": f"operation:{operation.pk}",
        "event": "operation_status",
        "data": status_event(operation),
        "seq": last_seq,
    }
