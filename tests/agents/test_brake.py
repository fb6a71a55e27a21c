"""A container that prints faster than its log is read has to wait, and only as long as that."""

import asyncio
import time
from contextlib import aclosing, asynccontextmanager

import pytest

from agents.errors import ContainerMissing
from agents.output import brake
from agents.output.brake import Brake
from agents.runtime import LogEntry


class Container:
    """Tells whether it is held back, and hands out entries of an age as they are asked for."""

    def __init__(self):
        self.is_held = False
        self.held = 0
        self.entries = asyncio.Queue()

    @asynccontextmanager
    async def hold(self):
        self.is_held = True
        self.held += 1
        try:
            yield
        finally:
            self.is_held = False

    def print(self, *, seconds_ago=0.0):
        age_ns = int(seconds_ago * 1e9)
        self.entries.put_nowait([LogEntry(time.time_ns() - age_ns, False, b"line\n")])

    async def log(self):
        while True:
            yield await self.entries.get()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def container(monkeypatch):
    monkeypatch.setattr(brake, "CAUGHT_UP_SECONDS", 0.05)
    return Container()


@asynccontextmanager
async def reading(container, *, is_behind=False):
    through = Brake(container.hold).through(container.log(), is_behind=is_behind)
    async with aclosing(through) as batches:
        yield batches


async def test_one_that_is_read_as_it_prints_is_left_alone(container):
    async with reading(container) as batches:
        for _ in range(20):
            container.print(seconds_ago=0.1)
            await anext(batches)
            await asyncio.sleep(0)
    assert container.held == 0


async def test_one_that_is_ahead_waits_until_all_is_read(container):
    async with reading(container) as batches:
        container.print()
        await anext(batches)
        container.print(seconds_ago=2)
        await anext(batches)
        await until(lambda: container.is_held)
        following = asyncio.create_task(anext(batches))
        await until(lambda: not container.is_held)
        container.print()
        await following
        assert not container.is_held


async def test_it_waits_as_long_as_the_reader_is_busy(container):
    async with reading(container) as batches:
        container.print()
        await anext(batches)
        container.print(seconds_ago=2)
        await anext(batches)
        await asyncio.sleep(4 * brake.CAUGHT_UP_SECONDS)
        assert container.is_held


async def test_a_clock_that_is_behind_is_no_delay(container):
    async with reading(container) as batches:
        for _ in range(3):
            container.print(seconds_ago=60)
            await anext(batches)
            await asyncio.sleep(0)
    assert container.held == 0


async def test_what_may_have_been_printed_before_is_read_first(container):
    async with reading(container, is_behind=True) as batches:
        following = asyncio.create_task(anext(batches))
        await until(lambda: container.is_held)
        await until(lambda: not container.is_held)
        container.print()
        await following


async def test_it_is_let_go_when_the_reader_ends(container):
    async with reading(container, is_behind=True) as batches:
        task = asyncio.create_task(anext(batches))
        await until(lambda: container.is_held)
        task.cancel()
        await asyncio.wait([task])
    await until(lambda: not container.is_held)


async def test_one_that_has_ended_is_read_on(container):
    @asynccontextmanager
    async def gone():
        raise ContainerMissing("It is gone")
        yield

    async with aclosing(Brake(gone).through(container.log(), is_behind=True)) as batches:
        for _ in range(3):
            container.print(seconds_ago=9)
            assert await anext(batches)
            await asyncio.sleep(0)
