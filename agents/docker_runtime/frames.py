"""Docker's log stream: frames of an 8-byte header (stream, length) and a time-stamped entry."""

import struct
from calendar import timegm

from agents.runtime import LogEntry

_HEADER = struct.Struct("!BxxxI")
_STDERR = 2
# With ``timestamps=1`` an entry begins "2026-01-31T23:59:59.123456789Z ", always nine digits.
_STAMP_LENGTH = 31


class FrameParser:
    """Cuts a stream that is split anywhere into entries."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._second = b""
        self._second_ns = 0

    def feed(self, received: bytes) -> list[LogEntry]:
        buffer = self._buffer
        buffer += received
        entries, position = [], 0
        while len(buffer) - position >= _HEADER.size:
            stream, length = _HEADER.unpack_from(buffer, position)
            end = position + _HEADER.size + length
            if len(buffer) < end:
                break
            entry = bytes(buffer[position + _HEADER.size : end])
            time_ns = self._time_ns(entry)
            entries.append(LogEntry(time_ns, stream == _STDERR, entry[_STAMP_LENGTH:]))
            position = end
        del buffer[:position]
        return entries

    def _time_ns(self, entry: bytes) -> int:
        # Most entries fall into the second of the one before.
        second = entry[:19]
        if second != self._second:
            self._second_ns = _epoch(second) * 1_000_000_000
            self._second = second
        return self._second_ns + int(entry[20:29])


def _epoch(stamp: bytes) -> int:
    fields = (stamp[:4], stamp[5:7], stamp[8:10], stamp[11:13], stamp[14:16], stamp[17:19])
    return timegm(tuple(int(field) for field in fields))
