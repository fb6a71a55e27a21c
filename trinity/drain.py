"""Whether who is at the other end takes what is sent there."""

# mypy: allow-untyped-calls
# (Twisted types only part of its methods.)

import asyncio
import time

from twisted.internet.tcp import Server as Transport


class Drain:
    """Whether the client of one TCP connection takes what is sent to it."""

    def __init__(self, transport: Transport, stall_seconds: float) -> None:
        self._transport = transport
        self._stall_seconds = stall_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._ready = asyncio.Event()
        self._ready.set()
        self.lost_at: float | None = None

    def pause(self) -> None:
        # Twisted calls this again with each write to a full buffer; the
        # deadline stands from the first.
        self._ready.clear()
        self.expect_end()

    def resume(self) -> None:
        self._ready.set()
        self._cancel_deadline()

    def expect_end(self) -> None:
        """Abort the connection unless its buffer drains or it ends in time."""
        if self._deadline is None and self.lost_at is None:
            self._deadline = asyncio.get_running_loop().call_later(
                self._stall_seconds, self._transport.abortConnection
            )

    def lose(self) -> None:
        if self.lost_at is None:
            self.lost_at = time.monotonic()
        self._ready.set()
        self._cancel_deadline()

    async def wait(self) -> None:
        await self._ready.wait()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
