"""How code outside a request reaches the database: one writer thread, a small pool of readers.

``database_sync_to_async`` would run everything on one thread of the process and reconnect for
each call, which caps a log at a thousand lines a second and lets it wait behind page views.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections, connection, transaction

from trinity.measures import QUEUED, watch_queue

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
# One transaction takes at most so many jobs: the first of them should not wait for a crowd.
BATCH = 200
# What a process holds that is stopped in the middle of a transaction, or whose machine is gone,
# PostgreSQL takes away after this time: another supervisor waits for it. Less than a lease.
STALLED_MS = 5000

_readers = ThreadPoolExecutor(READERS, "database-reader")
watch_queue("database-reader", _readers)


async def read(query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short query on one of the reader threads."""

    def run() -> T:
        close_old_connections()
        return query(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_readers, run)


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    is_durable: bool
    done: "Future[Any]" = field(default_factory=Future)


class Writer:
    """Commits what many tasks have to write in as few transactions as there is time for.

    ``write`` returns after the commit, so a task has at most one job here: that bounds the
    queue, and a source is read no faster than its lines are stored.
    """

    def __init__(self, guard: Callable[[], None] | None = None) -> None:
        """``guard`` runs first in every transaction, and raises to forbid it."""
        self._guard = guard
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        QUEUED.labels("database-writer").set_function(self._jobs.qsize)
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[], T], *, durable: bool = False) -> T:
        """``durable``: on the disk when this returns, for what is thrown away elsewhere then."""
        job = _Job(work, durable)
        self._jobs.put(job)
        result: T = await asyncio.wrap_future(job.done)
        return result

    async def confirm(self) -> None:
        """Raise what forbids to write, before something is done elsewhere."""
        await self.write(lambda: None)

    def close(self) -> None:
        """Finish what is queued and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch, is_last = self._gather(job)
            self._commit(batch)
            if is_last:
                break
        connection.close()

    @staticmethod
    def _synchronize(*, fully: bool) -> None:
        # A log line that the last power cut took is read again from its source: waiting for
        # the disk on every commit would cost more than it saves. PostgreSQL gathers commits.
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA synchronous={'FULL' if fully else 'NORMAL'}")

    @staticmethod
    def _bound() -> None:
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = {STALLED_MS}")

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        close_old_connections()
        try:
            self._synchronize(fully=any(job.is_durable for job in batch))
            results = self._transaction(batch)
        except Exception as error:  # belongs to whoever waits for the job
            self._commit_apart(batch, error)
        else:
            for job, result in zip(batch, results, strict=True):
                _resolve(job, result)

    def _commit_apart(self, batch: list[_Job], error: Exception) -> None:
        """One bad job must not take the others with it: give each a transaction of its own."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        for job in batch:
            self._commit([job])

    def _transaction(self, batch: list[_Job]) -> list[Any]:
        with transaction.atomic():
            self._bound()
            if self._guard:
                self._guard()
            return [job.work() for job in batch]


def _resolve(job: _Job, result: Any) -> None:
    # False when whoever waited was cancelled.
    if job.done.set_running_or_notify_cancel():
        job.done.set_result(result)


def _fail(job: _Job, error: Exception) -> None:
    if job.done.set_running_or_notify_cancel():
        job.done.set_exception(error)
