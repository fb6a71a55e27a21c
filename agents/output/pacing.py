"""Merges batches that arrive quickly into chunks, without delaying the first of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from itertools import accumulate, takewhile
from typing import Generic, TypeVar

T = TypeVar("T")

CHUNK_SECONDS = 0.05
CHUNK_BYTES = 64 * 1024


class Paced(Generic[T]):
    """Iterates over merged batches: at most one each 50 ms, unless 64 KiB wait.

    What comes after a quiet time is given at once. No chunk is larger than 64 KiB, unless it is
    a single item. The source is not read on while a full chunk waits, so a slow reader slows the
    source and nothing piles up.
    """

    def __init__(self, batches: AsyncIterator[list[T]], size_of: Callable[[T], int]) -> None:
        self._batches = batches
        self._size_of = size_of
        self._waiting: list[T] = []
        self._size = 0
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._pump = asyncio.create_task(self._read())
        self._pump.add_done_callback(lambda _done: self._changed.set())

    async def chunks(self, *, notice_after: float | None = None) -> AsyncGenerator[list[T]]:
        """Where nothing has come ``notice_after`` so many seconds, an empty one says so."""
        loop = asyncio.get_running_loop()
        not_before = 0.0
        try:
            if notice_after is not None and await self._is_quiet_for(notice_after):
                yield []
            while await self._some():
                await self._fill(until=not_before)
                chunk = self._take()
                self._taken.set()
                not_before = loop.time() + CHUNK_SECONDS
                yield chunk
            # The source's own failure, if that is what ended it.
            await self._pump
        finally:
            self._pump.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._pump

    def _take(self) -> list[T]:
        if self._size <= CHUNK_BYTES:
            chunk, self._waiting, self._size = self._waiting, [], 0
            return chunk
        # Looks no further than it takes: a batch may be many times as large.
        sizes = accumulate(map(self._size_of, self._waiting))
        fitting = list(takewhile(CHUNK_BYTES.__ge__, sizes))
        count = len(fitting) or 1
        chunk = self._waiting[:count]
        del self._waiting[:count]
        self._size -= sum(map(self._size_of, chunk))
        return chunk

    async def _read(self) -> None:
        async for batch in self._batches:
            self._waiting += batch
            self._size += sum(map(self._size_of, batch))
            self._changed.set()
            while self._size >= CHUNK_BYTES:
                self._taken.clear()
                await self._taken.wait()

    async def _some(self) -> bool:
        """Wait for something to give; False at the end of the source."""
        while not self._waiting:
            if self._pump.done():
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    async def _is_quiet_for(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._some()
        except TimeoutError:
            return True
        return False

    async def _fill(self, *, until: float) -> None:
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(max(until, loop.time())):
                while self._size < CHUNK_BYTES and not self._pump.done():
                    self._changed.clear()
                    await self._changed.wait()
