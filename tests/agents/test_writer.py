"""One thread commits what many tasks have to write, in few transactions, each for itself."""

import asyncio
import contextlib
import threading

import pytest
from django.db import Error, IntegrityError, connection

from agents import database
from agents.database import BATCH, Writer, read
from agents.errors import LeaseLost
from agents.models import Host, Log

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def make_writer():
    writers = []

    def make(**options):
        writers.append(Writer(**options))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


class Transactions:
    """A guard that counts, and holds the first until it is told to go."""

    def __init__(self):
        self.count = 0
        self.go = threading.Event()

    def __call__(self):
        self.count += 1
        assert self.go.wait(10)


async def test_a_write_returns_its_result_after_the_commit(make_writer):
    log = await make_writer().write(Log.objects.create)
    assert await read(Log.objects.filter(pk=log.pk).exists)


async def test_what_waits_is_committed_together(make_writer):
    guard = Transactions()
    writer = make_writer(guard=guard)
    writes = [asyncio.create_task(writer.write(Log.objects.create)) for _ in range(BATCH)]
    await asyncio.sleep(0)
    guard.go.set()
    await asyncio.gather(*writes)
    assert await read(Log.objects.count) == BATCH
    assert guard.count <= 2


async def test_one_transaction_takes_a_bounded_number_of_jobs(make_writer):
    guard = Transactions()
    writer = make_writer(guard=guard)
    writes = [asyncio.create_task(writer.write(lambda: None)) for _ in range(3 * BATCH)]
    await asyncio.sleep(0)
    guard.go.set()
    await asyncio.gather(*writes)
    assert guard.count in {3, 4}


async def test_a_job_that_fails_does_not_take_the_others_along(make_writer):
    guard = Transactions()
    writer = make_writer(guard=guard)

    def bad():
        Log.objects.create()
        Host.objects.create(name="same")
        Host.objects.create(name="same")

    jobs = [lambda: None, Log.objects.create, bad, Log.objects.create]
    writes = [asyncio.create_task(writer.write(job)) for job in jobs]
    await asyncio.sleep(0)
    guard.go.set()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False]
    assert isinstance(outcomes[2], IntegrityError)
    # What the failed one wrote before it failed is gone.
    assert await read(Log.objects.count) == 2
    assert not await read(Host.objects.exists)


async def test_without_the_lease_nothing_is_written(make_writer):
    def guard():
        raise LeaseLost

    writer = make_writer(guard=guard)
    with pytest.raises(LeaseLost):
        await writer.write(Log.objects.create)
    assert await read(Log.objects.count) == 0


async def test_a_writer_goes_on_after_a_failure_and_a_lost_connection(make_writer):
    writer = make_writer()
    with pytest.raises(ZeroDivisionError):
        await writer.write(lambda: 1 // 0)
    with contextlib.suppress(Error):
        await writer.write(lambda: connection.close())  # noqa: PLW0108  # of the thread it runs in
    await writer.write(Log.objects.create)
    assert await read(Log.objects.count) == 1


async def test_whoever_does_not_wait_any_more_hinders_nobody(make_writer):
    guard = Transactions()
    writer = make_writer(guard=guard)
    first = asyncio.create_task(writer.write(Log.objects.create))
    second = asyncio.create_task(writer.write(Log.objects.create))
    await asyncio.sleep(0)
    first.cancel()
    guard.go.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_closing_finishes_what_is_queued(make_writer):
    guard = Transactions()
    writer = Writer(guard=guard)
    writes = [asyncio.create_task(writer.write(Log.objects.create)) for _ in range(5)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(writer.close))
    guard.go.set()
    await closing
    await asyncio.gather(*writes)
    assert await read(Log.objects.count) == 5


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no such limit")
async def test_who_is_stopped_in_the_middle_of_a_transaction_holds_up_no_other(
    make_writer, monkeypatch
):
    monkeypatch.setattr(database, "STALLED_MS", 300)
    host = await read(Host.objects.local)
    stalls, go = threading.Event(), threading.Event()
    epoch = await read(host.take_lease, "one")

    def check_lease():
        assert Host.objects.select_for_update().filter(lease_epoch=epoch).exists()

    def stall():
        Log.objects.create()
        stalls.set()
        go.wait(20)

    write = asyncio.create_task(make_writer(guard=check_lease).write(stall))
    assert await asyncio.to_thread(stalls.wait, 10)
    await read(host.release_lease, epoch)
    assert await read(host.take_lease, "two") == epoch + 1
    go.set()
    with pytest.raises(Error):
        await write
    assert not await read(Log.objects.exists)
