"""What clients are told of operations: the contract's status object."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from django.db.models import Prefetch, QuerySet

from agents.output import logs
from operations.models import Artifact, Operation
from trinity.answers import Id, Time
from trinity.api import json_time

ResultStatus = Literal["running", "ok", "error", "canceled"]
Status = Annotated[str, Operation.Status]


class ArtifactObject(TypedDict):
    path: str
    size: int
    content_type: str


class StoredArtifact(ArtifactObject):
    sha256: str


class ArtifactList(TypedDict):
    kind: Literal["ArtifactList"]
    operation_id: Id
    artifacts: list[StoredArtifact]


class Result(TypedDict):
    status: ResultStatus
    summary: str
    exit_code: int | None
    error: Annotated[str, Operation.Error] | None
    notes: list[str]
    artifacts: list[ArtifactObject]
    artifact_count: int
    logs: list[str]
    log_count: int
    log_size: int
    truncated: bool
    execution_time: float | None


class OperationStatus(TypedDict):
    kind: Literal["OperationStatus"]
    id: Id
    agent: str
    status: Status
    isolated: bool
    #: From 1 on; null when it does not wait.
    queue_position: int | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    result: Result


class OperationCreated(TypedDict):
    """``poll_token`` is answered to the signed form alone."""

    kind: Literal["OperationCreated"]
    id: Id
    created_at: Time
    poll_token: NotRequired[str]


def created(operation: Operation) -> OperationCreated:
    return {
        "kind": "OperationCreated",
        "id": str(operation.pk),
        "created_at": json_time(operation.created_at),
    }


class Line(TypedDict):
    seq: int
    text: str


class Lines(TypedDict):
    lines: list[Line]
    next: int
    truncated: bool


class Execution(TypedDict):
    id: Id
    queue_status: Status


class ChatAccepted(TypedDict):
    """The answer is still to come."""

    response: str | None
    execution: Execution
    message: str


class ChatAnswer(TypedDict):
    response: str
    truncated: bool
    execution: Execution


class ChatFailed(TypedDict):
    """The agent's operation is told where there is one."""

    detail: str
    code: str
    execution: NotRequired[Execution]


_RESULT_STATUS: dict[Operation.Status, ResultStatus] = {
    Operation.Status.STARTING: "running",
    Operation.Status.PROCESSING: "running",
    Operation.Status.SUCCEEDED: "ok",
    Operation.Status.FAILED: "error",
    Operation.Status.CANCELED: "canceled",
}


#: A list of operations shows no more artifacts of each; ``artifact_count`` says how many there are.
LISTED_ARTIFACTS = 20


def for_list(operations: QuerySet[Operation]) -> QuerySet[Operation]:
    """Load with them all that a list of status objects shows."""
    few = Artifact.objects.order_by("path")[:LISTED_ARTIFACTS]
    some = Prefetch("artifacts", few, to_attr="listed_artifacts")
    return operations.select_related("agent", "log").prefetch_related(some)


def status_object(
    operation: Operation, *, tail: int = 0, queue_position: int | None = None
) -> OperationStatus:
    """``OperationStatus`` as the API answers it, with the last lines of the log if asked."""
    log = operation.log
    lines = logs.tail(operation.log_id, tail)[0] if tail else []
    return {
        "kind": "OperationStatus",
        "id": str(operation.pk),
        "agent": operation.agent.name,
        "status": operation.status,
        "isolated": operation.is_isolated,
        "queue_position": queue_position,
        "created_at": json_time(operation.created_at),
        "started_at": json_time(operation.started_at) if operation.started_at else None,
        "finished_at": json_time(operation.finished_at) if operation.finished_at else None,
        "result": {
            "status": _RESULT_STATUS[Operation.Status(operation.status)],
            "summary": operation.summary,
            "exit_code": operation.exit_code,
            "error": operation.error or None,
            "notes": operation.notes,
            "artifacts": [_artifact(artifact) for artifact in _artifacts(operation)],
            "artifact_count": operation.artifact_count,
            "logs": lines,
            "log_count": log.last_seq,
            "log_size": log.byte_count,
            "truncated": log.truncated,
            "execution_time": _execution_seconds(operation),
        },
    }


def _artifacts(operation: Operation) -> Iterable[Artifact]:
    if not operation.artifact_count:
        return []
    listed: list[Artifact] | None = getattr(operation, "listed_artifacts", None)
    return operation.artifacts.all() if listed is None else listed


def _artifact(artifact: Artifact) -> ArtifactObject:
    return {
        "path": artifact.path,
        "size": artifact.size,
        "content_type": artifact.content_type,
    }


def artifact_list(operation: Operation) -> ArtifactList:
    return {
        "kind": "ArtifactList",
        "operation_id": str(operation.pk),
        "artifacts": [
            {**_artifact(artifact), "sha256": artifact.sha256} for artifact in _artifacts(operation)
        ],
    }


def _execution_seconds(operation: Operation) -> float | None:
    if operation.started_at is None or operation.finished_at is None:
        return None
    return round((operation.finished_at - operation.started_at).total_seconds(), 3)


def status_event(operation: Operation, *, queue_position: int | None = None) -> dict[str, Any]:
    return {
        "id": str(operation.pk),
        "agent": operation.agent.name,
        "status": operation.status,
        "exit_code": operation.exit_code,
        "error": operation.error or None,
        "summary": operation.summary,
        "queue_position": queue_position,
    }
