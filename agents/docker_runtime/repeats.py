"""Leaves out what Docker's follow gives twice.

Behind a rotation, 20.10 takes the next log file, which is shorter, for one that was truncated,
and when it has come to its end reads it from the beginning once more. That may be one line or a
million. Within one stream, times only grow: each line is stamped as it is read, to the nanosecond.
"""

import time
from operator import attrgetter, lt

from agents.runtime import LogEntry

_TIME, _IS_STDERR = attrgetter("time_ns"), attrgetter("is_stderr")


class Repeats:
    """Of one follow, from its beginning."""

    def __init__(self) -> None:
        self._last = {is_stderr: LogEntry(0, is_stderr, b"") for is_stderr in (False, True)}

    def left_out(self, entries: list[LogEntry]) -> list[LogEntry]:
        if entries and self._only_grow(entries):
            self._last[entries[-1].is_stderr] = entries[-1]
            return entries
        now_ns = time.time_ns()
        return [entry for entry in entries if self._is_new(entry, now_ns)]

    def _only_grow(self, entries: list[LogEntry]) -> bool:
        """Most batches: of one stream, each entry later than the one before."""
        if len(set(map(_IS_STDERR, entries))) > 1:
            return False
        times = [self._last[entries[0].is_stderr].time_ns, *map(_TIME, entries)]
        return all(map(lt, times, times[1:]))

    def _is_new(self, entry: LogEntry, now_ns: int) -> bool:
        last = self._last[entry.is_stderr]
        # An entry of the future says that the clock was set back, and then times begin anew.
        if entry.time_ns < last.time_ns <= now_ns:
            return False
        # The parts of a long line share its time; whatever else does is the line itself.
        is_behind = entry.time_ns == last.time_ns and _is_whole(last)
        if is_behind and (entry.text == last.text or not _is_whole(entry)):
            return False
        self._last[entry.is_stderr] = entry
        return True


def _is_whole(entry: LogEntry) -> bool:
    return entry.text.endswith(b"\n")
