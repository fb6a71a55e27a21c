"""What clients are told of operations: the contract's status object."""

from typing import Any

from agents import logs
from operations.models import Operation
from trinity.api import json_time

_RESULT_STATUS = {
    Operation.Status.STARTING: "running",
    Operation.Status.PROCESSING: "running",
    Operation.Status.SUCCEEDED: "ok",
    Operation.Status.FAILED: "error",
    Operation.Status.CANCELED: "canceled",
}


def status_object(operation: Operation, *, tail: int = 0) -> dict[str, Any]:
    """``OperationStatus`` as the API answers it, with the last lines of the log if asked."""
    log = operation.log
    lines = logs.tail(operation.log_id, tail)[0] if tail else []
    return {
        "kind": "OperationStatus",
        "id": str(operation.pk),
        "agent": operation.agent.name,
        "status": operation.status,
        "created_at": json_time(operation.created_at),
        "started_at": json_time(operation.started_at) if operation.started_at else None,
        "finished_at": json_time(operation.finished_at) if operation.finished_at else None,
        "result": {
            "status": _RESULT_STATUS[Operation.Status(operation.status)],
            "summary": operation.summary,
            "exit_code": operation.exit_code,
            "error": operation.error or None,
            "artifacts": [],
            "logs": lines,
            "log_count": log.last_seq,
            "log_size": log.byte_count,
            "truncated": log.truncated,
            "execution_time": _execution_seconds(operation),
        },
    }


def _execution_seconds(operation: Operation) -> float | None:
    if operation.started_at is None or operation.finished_at is None:
        return None
    return round((operation.finished_at - operation.started_at).total_seconds(), 3)


def status_event(operation: Operation) -> dict[str, Any]:
    return {
        "id": str(operation.pk),
        "agent": operation.agent.name,
        "status": operation.status,
        "exit_code": operation.exit_code,
        "error": operation.error or None,
        "summary": operation.summary,
    }
