"""Docker's log stream: frames of an 8-byte header (stream, length) and a time-stamped entry."""

import struct
from calendar import timegm

from agents.runtime import LogEntry

# With ``timestamps=1`` an entry begins "2026-01-31T23:59:59.123456789Z ", always nine digits:
# the stream, the entry's length, the second and its nanoseconds are read at once.
_HEAD = struct.Struct("!BxxxI19sx9s2x")
_LENGTH_ENDS = 8
_STDERR = 2


class FrameParser:
    """Cuts a stream that is split anywhere into entries."""

    def __init__(self) -> None:
        self._rest = b""
        self._second = b""
        self._second_ns = 0

    def feed(self, received: bytes) -> list[LogEntry]:
        buffer = self._rest + received
        entries, position, whole = [], 0, len(buffer)
        while position + _HEAD.size <= whole:
            stream, length, second, nanoseconds = _HEAD.unpack_from(buffer, position)
            end = position + _LENGTH_ENDS + length
            if end > whole:
                break
            # Most entries fall into the second of the one before.
            if second != self._second:
                self._second, self._second_ns = second, _epoch(second) * 1_000_000_000
            text = buffer[position + _HEAD.size : end]
            entries.append(LogEntry(self._second_ns + int(nanoseconds), stream == _STDERR, text))
            position = end
        self._rest = buffer[position:]
        return entries


def _epoch(stamp: bytes) -> int:
    fields = (stamp[:4], stamp[5:7], stamp[8:10], stamp[11:13], stamp[14:16], stamp[17:19])
    return timegm(tuple(int(field) for field in fields))
