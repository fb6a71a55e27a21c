"""The result that a program tells by itself, found in what it prints.

It is one line of JSON on standard output with the line ``__AGENT_DONE__`` right behind it.
"""

import json
from typing import Any

SENTINEL = b"__AGENT_DONE__"
# A longer line is split in the log, and is no result.
LINE_BYTES = 64 * 1024
SUMMARY_CHARACTERS = 4000
NOTES = 20
NOTE_CHARACTERS = 500

Result = dict[str, Any]


class ResultReader:
    """Looks through output as it comes, in whatever pieces; holds no more than a few lines."""

    def __init__(self) -> None:
        # A line feed stands before the first line as before any other.
        self._held = bytearray(b"\n")
        self._looked_at = 0

    def feed(self, received: bytes) -> Result | None:
        """Return the result that ends with these bytes."""
        self._held += received
        while (at := self._held.find(b"\n" + SENTINEL, self._looked_at)) >= 0:
            behind = at + 1 + len(SENTINEL)
            ending = bytes(self._held[behind : behind + 2])
            if ending in {b"", b"\r"}:
                # The line goes on, or ends here: what comes next says which.
                self._looked_at = at
                return None
            self._looked_at = at + 1
            if ending.startswith((b"\n", b"\r\n")) and (result := self._result_before(at)):
                return result
        self._looked_at = max(self._looked_at, len(self._held) - len(SENTINEL))
        self._drop()
        return None

    def finish(self) -> Result | None:
        """Return the result whose last line has no line feed, at the end of the output."""
        return self.feed(b"\n")

    def _result_before(self, at: int) -> Result | None:
        start = self._held.rfind(b"\n", max(0, at - LINE_BYTES - 2), at) + 1
        return parse(bytes(self._held[start:at])) if start else None

    def _drop(self) -> None:
        # Rarely, and much at once: to move the rest at each piece would cost more.
        excess = self._looked_at - LINE_BYTES - 2
        if excess > LINE_BYTES:
            del self._held[:excess]
            self._looked_at -= excess


def parse(line: bytes) -> Result | None:
    """Return what a line tells, within its bounds; None if it tells no result."""
    try:
        told = json.loads(line) if len(line) <= LINE_BYTES else None
    # Brackets nested a few thousand deep end in a RecursionError.
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("status") not in ("ok", "error"):
        return None
    summary = told.get("summary")
    if not isinstance(summary, str):
        return None
    return {
        "status": told["status"],
        "summary": summary[:SUMMARY_CHARACTERS],
        "notes": _notes(told.get("notes")),
    }


def _notes(told: object) -> list[str]:
    notes = [told] if isinstance(told, str) else told
    if not isinstance(notes, list):
        return []
    return [note[:NOTE_CHARACTERS] for note in notes[:NOTES] if isinstance(note, str)]
