"""Log chunks: append with sequence numbers, read from a number on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from agents.models import Log, LogChunk
from trinity.measures import LINES_STORED

READ_CHUNKS = 16
TAIL_BYTES = 4 * 1024**2
# What one search looks at: all of an agent's log, unless its cap was raised.
SEARCH_BYTES = 64 * 1024**2
TRUNCATED = "[... logs truncated at 10MB limit ...]"
DROPPED = "[... older lines were dropped ...]"
# So much of what a log may keep is dropped at once, that not each append has to.
DROP_SHARE = 16

Line = tuple[bool, str]  # whether it came by standard error, and its text


class Moved(Exception):
    """Somebody else has stored lines of the same source: read its cursor again."""


@dataclass(frozen=True)
class Chunk:
    """Successive lines as they are handed to viewers; rendered once, however many there are."""

    first_seq: int
    lines: list[str]
    #: Stands for lines that are gone, and has the number of the last of them.
    is_marker: bool = False

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.lines) - 1

    @cached_property
    def size(self) -> int:
        return sum(map(len, self.lines)) + len(self.lines)

    @cached_property
    def json(self) -> str:
        """The lines as a JSON array."""
        return json.dumps(self.lines, ensure_ascii=False)

    @cached_property
    def events(self) -> bytes:
        """The lines as server-sent events, one each, with their numbers."""
        events = [
            f'id: {seq}\ndata: {{"type": "log", "content": {json.dumps(line)}}}\n\n'
            for seq, line in enumerate(self.lines, self.first_seq)
        ]
        return "".join(events).encode()

    def after(self, seq: int) -> "Chunk":
        """The part behind a number."""
        skip = max(0, seq + 1 - self.first_seq)
        return Chunk(self.first_seq + skip, self.lines[skip:]) if skip else self


class Appended(NamedTuple):
    #: Of the log.
    last_seq: int
    #: What was added, None for nothing.
    chunk: Chunk | None


def append(
    log_id: int,
    lines: Sequence[Line],
    cursor: dict[str, Any],
    *,
    cap_bytes: int | None = None,
    is_cut: bool = False,
    keep_bytes: int | None = None,
    after: dict[str, Any] | None = None,
) -> "Appended":
    """Add lines at the end and record where their source goes on.

    For the writer of the log only, inside its transaction. Behind the cap, which counts the
    text with its newlines, one line says so and nothing follows; likewise where the source
    itself was cut. A log that keeps so many bytes drops its oldest lines instead. Where two
    may write, each says ``after`` which cursor: raises Moved when that is not the log's.
    """
    log = _log_after(log_id, after) if after is not None else Log.objects.get(pk=log_id)
    if log.truncated:
        kept: Sequence[Line] = []
    elif cap_bytes is None:
        kept = lines
    else:
        kept, log.truncated = _fit(lines, cap_bytes - log.byte_count)
    if is_cut and not log.truncated:
        kept, log.truncated = [*kept, (False, TRUNCATED)], True
    chunk = _add_chunk(log, kept) if kept else None
    if keep_bytes is not None and log.byte_count > keep_bytes:
        _drop_oldest(log, keep_bytes - keep_bytes // DROP_SHARE)
    Log.objects.filter(pk=log_id).update(
        last_seq=log.last_seq, byte_count=log.byte_count, truncated=log.truncated, cursor=cursor
    )
    return Appended(log.last_seq, chunk)


def _log_after(log_id: int, cursor: dict[str, Any]) -> Log:
    """The log, kept from others until the transaction ends; raise Moved from another cursor."""
    log = Log.objects.select_for_update().get(pk=log_id)
    if log.cursor != cursor:
        raise Moved
    return log


def _add_chunk(log: Log, lines: Sequence[Line]) -> Chunk:
    texts = [line for _, line in lines]
    text = "\n".join(texts)
    first, last = log.last_seq + 1, log.last_seq + len(lines)
    LogChunk.objects.create(
        log=log, first_seq=first, last_seq=last, streams=_streams(lines), text=text
    )
    log.last_seq = last
    LINES_STORED.inc(len(lines))
    log.byte_count += len(text.encode()) + 1
    return Chunk(first, texts)


def _drop_oldest(log: Log, keep_bytes: int) -> None:
    """Drop whole chunks until the rest fits; the newest stays, however large it is."""
    oldest = log.chunks.filter(last_seq__lt=log.last_seq).order_by("last_seq")
    dropped_seq = 0
    for seq, text in oldest.values_list("last_seq", "text").iterator(READ_CHUNKS):
        if log.byte_count <= keep_bytes:
            break
        dropped_seq = seq
        log.byte_count -= len(text.encode()) + 1
    log.chunks.filter(last_seq__lte=dropped_seq).delete()


def _fit(lines: Sequence[Line], room: int) -> tuple[Sequence[Line], bool]:
    """The lines that fit, the last of them cut to the byte; and whether any was cut."""
    for index, (is_stderr, text) in enumerate(lines):
        size = len(text.encode()) + 1
        if size > room:
            cut = text.encode()[: max(room, 0)].decode(errors="ignore")
            rest = [(is_stderr, cut)] if cut else []
            return [*lines[:index], *rest, (False, TRUNCATED)], True
        room -= size
    return lines, False


def _streams(lines: Sequence[Line]) -> str:
    runs = [(is_stderr, len(list(run))) for is_stderr, run in groupby(lines, lambda line: line[0])]
    if not any(is_stderr for is_stderr, _ in runs):
        return ""
    lengths = [length for _, length in runs]
    return ",".join(map(str, [0, *lengths] if runs[0][0] else lengths))


def tail(log_id: int, count: int) -> tuple[list[str], int]:
    """The last lines, fewer where they are long, and the number of the very last one."""
    newest_first: list[str] = []
    last_seq = size = 0
    for chunk in LogChunk.objects.filter(log_id=log_id).order_by("-last_seq").iterator(READ_CHUNKS):
        last_seq = last_seq or chunk.last_seq
        newest_first += reversed(chunk.text.split("\n"))
        size += len(chunk.text)
        if len(newest_first) >= count or size >= TAIL_BYTES:
            break
    return newest_first[:count][::-1], last_seq


def standard_output(log_id: int, most_bytes: int) -> tuple[str, bool]:
    """The first lines that did not come by standard error, and whether they are all."""
    lines: list[str] = []
    size = 0
    for chunk in LogChunk.objects.filter(log_id=log_id).order_by("last_seq").iterator(READ_CHUNKS):
        for line in _without_stderr(chunk):
            size += len(line.encode()) + 1
            if size > most_bytes:
                return "\n".join(lines), False
            lines.append(line)
    return "\n".join(lines), True


def _without_stderr(chunk: LogChunk) -> list[str]:
    lines = chunk.text.split("\n")
    kept: list[str] = []
    position, is_stderr = 0, False
    for length in map(int, chunk.streams.split(",") if chunk.streams else [len(lines)]):
        kept += [] if is_stderr else lines[position : position + length]
        position, is_stderr = position + length, not is_stderr
    return kept


class Found(NamedTuple):
    lines: list[str]
    #: Of the whole log, not of the lines.
    last_seq: int
    #: Nothing that was ever written is left out but lines without the text.
    is_whole: bool


def search(log_id: int, wanted: str, count: int) -> Found:
    """The last lines that contain a text, as far back as one search may look."""
    newest_first: list[str] = []
    looked = size = last_seq = 0
    first_seq = 1
    newest = LogChunk.objects.filter(log_id=log_id).order_by("-last_seq")
    for chunk in newest.only("first_seq", "last_seq", "text").iterator(READ_CHUNKS):
        last_seq, first_seq = last_seq or chunk.last_seq, chunk.first_seq
        looked += len(chunk.text)
        if wanted in chunk.text:
            found = [line for line in reversed(chunk.text.split("\n")) if wanted in line]
            newest_first += found
            size += sum(map(len, found))
        if len(newest_first) >= count or size >= TAIL_BYTES or looked >= SEARCH_BYTES:
            break
    is_whole = first_seq == 1 and len(newest_first) <= count
    return Found(newest_first[:count][::-1], last_seq, is_whole)


def last_seq(log_id: int) -> int:
    return Log.objects.values_list("last_seq", flat=True).get(pk=log_id)


def first_seq(log_id: int) -> int:
    """The number of the oldest line that is kept; 0 for an empty log."""
    oldest = LogChunk.objects.filter(log_id=log_id).order_by("last_seq").first()
    return oldest.first_seq if oldest else 0


def chunks_after(log_id: int, seq: int, *, limit: int = READ_CHUNKS) -> list[Chunk]:
    """The next chunks that hold lines behind a number; the first may begin before it.

    Where those lines were dropped, a marker comes before the oldest that are kept.
    """
    found = LogChunk.objects.filter(log_id=log_id, last_seq__gt=seq).order_by("last_seq")[:limit]
    chunks = [Chunk(chunk.first_seq, chunk.text.split("\n")) for chunk in found]
    if chunks and chunks[0].first_seq > seq + 1:
        chunks.insert(0, Chunk(chunks[0].first_seq - 1, [DROPPED], is_marker=True))
    return chunks


def lines_after(log_id: int, seq: int, count: int) -> list[tuple[int, str]]:
    """At most so many lines behind a number, each with its own."""
    found: list[tuple[int, str]] = []
    while len(found) < count and (chunks := chunks_after(log_id, seq)):
        for chunk in chunks:
            rest = chunk.after(seq)
            found += enumerate(rest.lines, rest.first_seq)
            seq = rest.last_seq
    return found[:count]


def search_after(
    log_id: int, wanted: str, seq: int, count: int
) -> tuple[list[tuple[int, str]], int]:
    """The next lines with the text behind a number, and the number behind which to go on.

    That is the last one of the log where no more is found.
    """
    found: list[tuple[int, str]] = []
    while chunks := chunks_after(log_id, seq):
        for chunk in chunks:
            rest = chunk.after(seq)
            found += [
                (number, text)
                for number, text in enumerate(rest.lines, rest.first_seq)
                if wanted in text
            ]
            if len(found) >= count:
                return found[:count], found[count - 1][0]
            seq = rest.last_seq
    return found, seq
