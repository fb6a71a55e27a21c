"""Makes a container wait that prints faster than its log is read.

An engine keeps only so much of a log. What a container prints beyond that is thrown away before
it was read, and Docker's follow goes on behind the gap, or again from an earlier place, without
a word (seen with 20.10: of 768,000 lines in 3 s two thirds were missing, others came twice).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress

from agents.errors import ContainerMissing, EngineUnavailable
from agents.runtime import LogEntry

# So far behind the writer a reader may be.
BEHIND_NS = 500_000_000
# Nothing came for so long: all that was printed has been read. An engine that is short of CPU
# pauses for less, and each release lets another megabyte pass. A brake put on without need
# costs the container this wait once a megabyte.
CAUGHT_UP_SECONDS = 0.1

Hold = Callable[[], AbstractAsyncContextManager[None]]


class Brake:
    def __init__(self, hold: Hold) -> None:
        """``hold`` gives the context in which the container waits."""
        self._hold = hold
        self._holding: asyncio.Task[None] | None = None
        # The clock of the engine's machine may be another one.
        self._usual_ns: int | None = None

    async def through(
        self, batches: AsyncIterator[list[LogEntry]], *, is_behind: bool
    ) -> AsyncGenerator[list[LogEntry]]:
        """Pass on what is read; ``is_behind`` says that much may have been printed before."""
        loop = asyncio.get_running_loop()
        if is_behind:
            self._put_on()
        waiting = loop.call_later(CAUGHT_UP_SECONDS, self._release)
        try:
            async for batch in batches:
                waiting.cancel()
                if batch:
                    self._look(batch[-1])
                yield batch
                waiting = loop.call_later(CAUGHT_UP_SECONDS, self._release)
        finally:
            waiting.cancel()
            self._release()

    def _look(self, newest: LogEntry) -> None:
        delay_ns = time.time_ns() - newest.time_ns
        self._usual_ns = delay_ns if self._usual_ns is None else min(delay_ns, self._usual_ns)
        if delay_ns - self._usual_ns > BEHIND_NS:
            self._put_on()

    def _put_on(self) -> None:
        if self._holding is None or self._holding.done():
            self._holding = asyncio.create_task(self._hold_back())

    def _release(self) -> None:
        if self._holding is not None:
            self._holding.cancel()

    async def _hold_back(self) -> None:
        # A container that has just ended prints no more.
        with suppress(ContainerMissing, EngineUnavailable):
            async with self._hold():
                await asyncio.Event().wait()
