"""What viewers of logs share: a chunk is taken from the database once, however many follow.

Where the process that stores it also serves them, it is not taken from there at all.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from agents import database, live
from agents.output.logs import Appended, Chunk, chunks_after

CACHE_BYTES = 32 * 1024**2


class ChunkCache:
    """Chunks by where they begin, so that viewers at the same place share one read."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._size = 0
        self._chunks: OrderedDict[tuple[int, int], Chunk] = OrderedDict()
        self._reads: dict[tuple[int, int], asyncio.Task[list[Chunk]]] = {}
        self._followed: Counter[int] = Counter()

    @contextmanager
    def followed(self, log_id: int) -> Iterator[None]:
        """While this goes on somebody here reads the log: what is stored here is kept for him."""
        self._followed[log_id] += 1
        try:
            yield
        finally:
            self._followed[log_id] -= 1
            if not self._followed[log_id]:
                del self._followed[log_id]

    def take(self, log_id: int, chunk: Chunk) -> None:
        """Spare those who follow the log to read what this process has just committed."""
        if log_id in self._followed:
            self._keep(log_id, chunk)

    async def after(self, log_id: int, seq: int) -> Chunk | None:
        """The next lines behind a number, or None when there are none yet."""
        key = (log_id, seq + 1)
        if (chunk := self._chunks.get(key)) is not None:
            self._chunks.move_to_end(key)
            return chunk
        joined = key in self._reads
        chunks = await self._read(key)
        if joined and not chunks:
            # That read may have begun before the lines came which the caller was told of.
            chunks = await self._read(key)
        for chunk in chunks:
            self._keep(log_id, chunk)
        return chunks[0].after(seq) if chunks else None

    async def _read(self, key: tuple[int, int]) -> list[Chunk]:
        """Read what begins there, together with whoever does so already."""
        read = self._reads.get(key)
        if read is None:
            log_id, first_seq = key
            read = asyncio.create_task(database.read(chunks_after, log_id, first_seq - 1))
            self._reads[key] = read
            read.add_done_callback(lambda _done: self._reads.pop(key, None))
        # Shielded: a viewer that leaves must not take the read away from the others.
        return await asyncio.shield(read)

    def _keep(self, log_id: int, chunk: Chunk) -> None:
        key = (log_id, chunk.first_seq)
        # A marker moves on as more is dropped: kept, a slow reader would meet one after another.
        if key in self._chunks or chunk.is_marker:
            return
        self._chunks[key] = chunk
        self._size += chunk.size
        while self._size > self._limit:
            _, dropped = self._chunks.popitem(last=False)
            self._size -= dropped.size


cache = ChunkCache()


async def announce(log_id: int, appended: Appended) -> None:
    """Tell those who follow the log of what was just committed to it."""
    if appended.chunk:
        cache.take(log_id, appended.chunk)
        await live.announce_growth(log_id, appended.last_seq)
