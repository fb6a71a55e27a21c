"""What a program says of its own result, as the agent server passes it on; neither is trusted."""

from dataclasses import dataclass
from typing import Any, Self

from agents.errors import AgentUnavailable
from agents.wire import decode, said
from operations.models import SUMMARY_CHARACTERS, Operation

NOTES = 20
NOTE_CHARACTERS = 500

Status, Error = Operation.Status, Operation.Error
# Whatever the program has said before, these say that it was not let end.
_DECISIVE = {Error.LOST, Error.START_FAILED}


@dataclass(frozen=True, slots=True)
class Result:
    is_ok: bool
    summary: str
    notes: list[str]

    @classmethod
    def parse(cls, told: object) -> Self | None:
        """Return None for anything that is no result."""
        if not isinstance(told, dict) or told.get("status") not in ("ok", "error"):
            return None
        notes = told.get("notes")
        return cls(
            is_ok=told["status"] == "ok",
            summary=said(told.get("summary", ""), SUMMARY_CHARACTERS),
            notes=[
                said(note, NOTE_CHARACTERS)
                for note in (notes if isinstance(notes, list) else [])[:NOTES]
            ],
        )


def decided(outcome: dict[str, Any], payload: bytes) -> dict[str, Any]:
    """Return the fields of ``Operation.finish`` as they are with the program's own result."""
    try:
        told = decode(payload)
    except AgentUnavailable:
        return outcome
    result = Result.parse(told.get("result"))
    if result is None or outcome["status"] == Status.CANCELED:
        return outcome
    if outcome.get("error") in _DECISIVE:
        return outcome
    return {
        "status": Status.SUCCEEDED if result.is_ok else Status.FAILED,
        "error": "" if result.is_ok else Error.EXITED,
        "summary": result.summary,
        # Of a program that lingered it is only said how we ended it.
        "exit_code": outcome["exit_code"] if told.get("reason") == "exited" else None,
        "notes": result.notes,
    }
