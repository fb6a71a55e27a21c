"""Viewers at the same place of a log share one read of the database."""

import asyncio

import pytest

from agents import database
from agents.models import Log
from agents.output import logs
from agents.output.logs import Chunk
from agents.output.shared_chunks import ChunkCache

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def log_id():
    log = Log.objects.create()
    for number in range(3):
        logs.append(log.pk, [(False, f"line {number}"), (True, "é")], {})
    return log.pk


@pytest.fixture
def reads(monkeypatch):
    """The places that were read from the database."""
    found, read = [], database.read

    async def counted(query, log_id, seq):
        found.append(seq)
        return await read(query, log_id, seq)

    monkeypatch.setattr(database, "read", counted)
    return found


async def test_ten_viewers_cost_one_read(log_id, reads):
    cache = ChunkCache()
    chunks = await asyncio.gather(*(cache.after(log_id, 0) for _ in range(10)))
    assert {id(chunk) for chunk in chunks} == {id(chunks[0])}
    assert chunks[0].lines == ["line 0", "é"]
    assert reads == [0]


async def test_what_one_has_read_another_takes_from_memory(log_id, reads):
    cache = ChunkCache()
    seq, lines = 0, []
    while chunk := await cache.after(log_id, seq):
        seq = chunk.last_seq
        lines += chunk.lines
    assert len(lines) == 6
    # All three chunks came with the first read; the last found nothing behind them.
    assert reads == [0, 6]


async def test_what_this_process_stores_is_read_by_nobody_who_follows_it(log_id, reads):
    cache = ChunkCache()
    with cache.followed(log_id):
        cache.take(log_id, Chunk(7, ["new"]))
        assert (await cache.after(log_id, 6)).lines == ["new"]
    assert reads == []


async def test_what_nobody_follows_takes_no_memory(log_id):
    cache = ChunkCache()
    with cache.followed(log_id), cache.followed(log_id):
        pass
    cache.take(log_id, Chunk(7, ["new"]))
    assert cache._size == 0
    assert not cache._followed


async def test_a_place_in_the_middle_of_a_chunk_gives_its_rest(log_id):
    chunk = await ChunkCache().after(log_id, 1)
    assert (chunk.first_seq, chunk.last_seq, chunk.lines) == (2, 2, ["é"])


async def test_behind_the_end_there_is_nothing_until_lines_come(log_id):
    cache = ChunkCache()
    assert await cache.after(log_id, 6) is None
    await database.read(logs.append, log_id, [(False, "new")], {})
    assert (await cache.after(log_id, 6)).lines == ["new"]


async def test_a_viewer_that_leaves_takes_the_read_from_nobody(log_id):
    cache = ChunkCache()
    first = asyncio.create_task(cache.after(log_id, 0))
    second = asyncio.create_task(cache.after(log_id, 0))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).first_seq == 1


async def test_a_read_that_began_before_the_lines_came_is_repeated(log_id, monkeypatch):
    cache, read = ChunkCache(), database.read
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(query, *args):
        found = await read(query, *args)
        if not began.is_set():
            began.set()
            await go.wait()
        return found

    monkeypatch.setattr(database, "read", slow)
    early = asyncio.create_task(cache.after(log_id, 6))
    await began.wait()
    await read(logs.append, log_id, [(False, "new")], {})
    late = asyncio.create_task(cache.after(log_id, 6))
    await asyncio.sleep(0)
    go.set()
    assert await early is None
    assert (await late).lines == ["new"]


async def test_memory_is_bounded_by_dropping_what_was_used_longest_ago(log_id, reads):
    cache = ChunkCache(limit_bytes=20)
    await cache.after(log_id, 0)
    assert cache._size <= 20
    assert len(cache._chunks) == 2
    await cache.after(log_id, 0)
    assert reads == [0, 0]


def test_a_chunk_is_rendered_once_for_all():
    chunk = Chunk(5, ["a", 'é"'])
    assert chunk.json == '["a", "é\\""]'
    assert chunk.json is chunk.json
    assert chunk.events.decode() == (
        'id: 5\ndata: {"type": "log", "content": "a"}\n\n'
        'id: 6\ndata: {"type": "log", "content": "\\u00e9\\""}\n\n'
    )
    assert chunk.events is chunk.events
