"""The host's own deadline for an operation: a backstop behind that of its agent server.

A program has the user of the server beside it, and can stop it with all that it should see to.
What counts is recorded, so whoever drives the operation next has the same deadline.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from agents.wire import Kind, Record
from operations.models import Operation

Status, Error = Operation.Status, Operation.Error

# From TERM to KILL; as long as the agent server gives a program whose time is up.
GRACE_SECONDS = 10.0
# What the server needs behind that: to find who is left, to empty the pipes, to write it down.
TIME_UP_SECONDS = GRACE_SECONDS + 5
# An end is promised within 12 s of being asked for. One that the server could not even be told
# of will not come by itself.
TOLD_SECONDS = GRACE_SECONDS + 0.75
UNTOLD_SECONDS = 6.0
# Whoever has just begun to listen, here or after a pause, is given so long to hear the end.
LISTEN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of what did not end when it had to."""

    status: Operation.Status
    error: str
    summary: str

    @property
    def is_cancel(self) -> bool:
        return self.status == Status.CANCELED


class Overdue(Exception):
    """The operation should have ended by now, and its server has not said that it did."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.summary)
        self.verdict = verdict


def verdict(operation: Operation, at: datetime) -> Verdict | None:
    """Return what is to be said of an operation that had not ended at that time."""
    asked, up = operation.cancel_requested_at, _time_up(operation)
    if asked and asked <= at:
        return Verdict(Status.CANCELED, "", "Canceled")
    if up and up <= at:
        limit = f"Ran longer than {operation.timeout_seconds} s"
        return Verdict(Status.FAILED, Error.TIMEOUT, limit)
    return None


def _time_up(operation: Operation) -> datetime | None:
    if operation.started_at is None or operation.timeout_seconds is None:
        return None
    return operation.started_at + timedelta(seconds=operation.timeout_seconds)


class Deadline:
    """By when the end of one operation has to be heard, as its record stands."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._is_told = False
        self._listen_until = 0.0
        self._moments: dict[datetime, float] = {}
        self._wait: asyncio.Timeout | None = None

    def begin(self) -> None:
        """Whoever takes an operation over hears its server first."""
        self.listen(LISTEN_SECONDS)

    def listen(self, seconds: float) -> None:
        """Hear its server for so long at least, whatever time it is."""
        until = asyncio.get_running_loop().time() + seconds
        self._listen_until = max(until, self._listen_until)
        self.move()

    def postpone(self) -> None:
        """What keeps the server from telling is not the program's doing: listen behind it.

        Only a cancel does not wait: who asked for the end does not mind what it had been.
        """
        if self._operation.cancel_requested_at is None:
            self.listen(LISTEN_SECONDS)

    def note_told(self) -> None:
        """The server took the request for its end: what is left is its own affair for a while."""
        self._is_told = True
        self.move()

    def grace_seconds(self) -> float:
        """Return what is left of the time between TERM and KILL, since a cancel was asked for."""
        asked = self._operation.cancel_requested_at
        since = asyncio.get_running_loop().time() - self._moment(asked) if asked else 0.0
        return max(0.0, GRACE_SECONDS - max(0.0, since))

    def move(self) -> None:
        """Have what waits now wait for the deadline as it is by now."""
        if self._wait and not self._wait.expired():
            self._wait.reschedule(self._at())

    def check(self) -> None:
        """Raise Overdue where the deadline has passed."""
        at = self._at()
        if at is not None and at <= asyncio.get_running_loop().time():
            raise self._overdue()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Raise Overdue when what is waited for inside takes longer."""
        # Not left to the timeout: it does not interrupt what never has to wait.
        self.check()
        try:
            async with asyncio.timeout_at(self._at()) as self._wait:
                yield
        except TimeoutError as error:
            if not (self._wait and self._wait.expired()):
                raise
            raise self._overdue() from error
        finally:
            self._wait = None

    async def within(self, batches: AsyncGenerator[list[Record]]) -> AsyncGenerator[list[Record]]:
        """Yield batches up to the end; raise Overdue where that does not come in time."""
        async with aclosing(batches):
            while True:
                async with self.kept():
                    batch = await anext(batches, None)
                if batch is None:
                    return
                yield batch
                if batch and batch[-1].kind is Kind.END:
                    return

    def _at(self) -> float | None:
        """The moment by the loop's clock, which stands still while the machine sleeps."""
        operation, moments = self._operation, []
        if operation.is_finished:
            return None
        if asked := operation.cancel_requested_at:
            seconds = TOLD_SECONDS if self._is_told else UNTOLD_SECONDS
            moments.append(self._moment(asked) + seconds)
        if up := _time_up(operation):
            moments.append(self._moment(up) + TIME_UP_SECONDS)
        return max(min(moments), self._listen_until) if moments else None

    def _moment(self, at: datetime) -> float:
        """Found once: what a sleeping machine misses is not counted, and no clock that is set."""
        if at not in self._moments:
            ahead = (at - timezone.now()).total_seconds()
            self._moments[at] = asyncio.get_running_loop().time() + ahead
        return self._moments[at]

    def _overdue(self) -> Overdue:
        found = verdict(self._operation, timezone.now())
        # Where a clock was set back meanwhile.
        return Overdue(found or Verdict(Status.FAILED, Error.TIMEOUT, "Its time is up"))
