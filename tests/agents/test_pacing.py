"""What arrives quickly is merged, what comes alone is given at once, and nothing piles up."""

import asyncio
from contextlib import aclosing

import pytest

from agents.output import pacing
from agents.output.pacing import CHUNK_BYTES, Paced


async def collect(source, size_of=len):
    async with aclosing(Paced(source, size_of).chunks()) as chunks:
        return [chunk async for chunk in chunks]


async def batches(*given):
    for batch in given:
        yield batch
        await asyncio.sleep(0)


async def fed(queue):
    while (batch := await queue.get()) is not None:
        yield batch


async def test_all_items_come_in_order_and_merged():
    chunks = await collect(batches(*(["x" * 9 + str(number)] for number in range(1000))))
    assert [item[-1] for chunk in chunks for item in chunk] == [str(n)[-1] for n in range(1000)]
    assert len(chunks) < 20


async def test_what_comes_after_a_quiet_time_is_given_at_once(monkeypatch):
    monkeypatch.setattr(pacing, "CHUNK_SECONDS", 30)
    queue = asyncio.Queue()
    async with aclosing(Paced(fed(queue), len).chunks()) as chunks, asyncio.timeout(5):
        queue.put_nowait(["first"])
        assert await anext(chunks) == ["first"]


async def test_a_source_that_is_quiet_at_first_is_told_of_once():
    queue = asyncio.Queue()
    async with aclosing(Paced(fed(queue), len).chunks(notice_after=0.01)) as chunks:
        assert await anext(chunks) == []
        queue.put_nowait(["first"])
        assert await anext(chunks) == ["first"]


async def test_a_source_that_gives_something_at_once_is_not_called_quiet():
    queue = asyncio.Queue()
    queue.put_nowait(["first"])
    queue.put_nowait(None)
    async with aclosing(Paced(fed(queue), len).chunks(notice_after=30)) as chunks:
        assert [chunk async for chunk in chunks] == [["first"]]


async def test_what_follows_is_merged_until_its_time_has_come():
    queue = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async with aclosing(Paced(fed(queue), len).chunks()) as chunks:
        queue.put_nowait(["first"])
        await anext(chunks)
        began = loop.time()
        queue.put_nowait(["a"])
        queue.put_nowait(["b"])
        assert await anext(chunks) == ["a", "b"]
        assert loop.time() - began >= pacing.CHUNK_SECONDS * 0.8


async def test_a_full_chunk_does_not_wait_for_its_time(monkeypatch):
    monkeypatch.setattr(pacing, "CHUNK_SECONDS", 30)
    full = "x" * CHUNK_BYTES
    async with asyncio.timeout(5):
        assert await collect(batches([full], [full], [full])) == [[full]] * 3


async def test_a_batch_larger_than_a_chunk_is_cut_between_its_items(monkeypatch):
    monkeypatch.setattr(pacing, "CHUNK_SECONDS", 30)
    large, small = "x" * (CHUNK_BYTES + 1), [f"{number:1000}" for number in range(200)]
    # None of them waits for its time: there is more than one takes.
    async with asyncio.timeout(5):
        chunks = await collect(batches(["first"], [*small, large, *small[:10]]))
    assert [item for chunk in chunks for item in chunk] == ["first", *small, large, *small[:10]]
    assert [large] in chunks
    sizes = [sum(map(len, chunk)) for chunk in chunks if chunk != [large]]
    assert max(sizes) <= CHUNK_BYTES
    assert sum(size > CHUNK_BYTES - 1000 for size in sizes) == 3


async def test_the_end_of_the_source_does_not_wait_for_its_time(monkeypatch):
    monkeypatch.setattr(pacing, "CHUNK_SECONDS", 30)
    async with asyncio.timeout(5):
        chunks = await collect(batches(["a"], ["b"]))
    assert [item for chunk in chunks for item in chunk] == ["a", "b"]


async def test_a_slow_reader_stops_the_source():
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1
            yield ["x" * 1024]

    async with aclosing(Paced(endless(), len).chunks()) as chunks:
        await anext(chunks)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert read * 1024 <= 3 * CHUNK_BYTES
        before = read
        await anext(chunks)
        await anext(chunks)
        assert read > before


async def test_the_failure_of_the_source_comes_after_what_it_gave():
    async def failing():
        yield ["a"]
        raise ZeroDivisionError

    async with aclosing(Paced(failing(), len).chunks()) as chunks:
        assert await anext(chunks) == ["a"]
        with pytest.raises(ZeroDivisionError):
            await anext(chunks)


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_reader_that_leaves_ends_the_source(how):
    ended = asyncio.Event()

    async def source():
        try:
            yield ["a"]
            await asyncio.Event().wait()
        finally:
            ended.set()

    started = asyncio.Event()

    async def read():
        async with aclosing(Paced(source(), len).chunks()) as chunks:
            async for _ in chunks:
                started.set()
                if how == "close":
                    return

    task = asyncio.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    if how == "cancel":
        task.cancel()
    await asyncio.wait([task], timeout=5)
    assert ended.is_set()
