"""The whole log of an agent as a file."""

import pytest

from agents.database import read
from agents.output import log_streams, logs, shared_chunks
from tests.factories import make_agent
from tests.streams import viewing

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/agents/scribe/logs/download"


@pytest.fixture
def agent():
    return make_agent(name="scribe")


async def append(agent, *lines, **options):
    await read(logs.append, agent.log_id, [(False, line) for line in lines], {}, **options)


async def download(agent):
    async with viewing(PATH, agent.owner) as viewer:
        status, _ = await viewer.status()
        assert status == 200
        return await viewer.rest()


async def test_it_is_the_lines_that_are_stored_to_the_byte(agent):
    lines = ["", "plain", "é€😀", "\x1b[31mred\x1b[0m", " \t", "<b>", "carriage\rreturn"]
    await append(agent, *lines)
    await append(agent, *reversed(lines))
    text = b"".join(await download(agent))
    assert text == "".join(f"{line}\n" for line in [*lines, *reversed(lines)]).encode()


async def test_it_comes_in_parts_of_a_few_chunks(agent, monkeypatch):
    monkeypatch.setattr(log_streams, "DOWNLOAD_CHUNKS", 2)
    for number in range(5):
        await append(agent, f"{number}", f"{number}")
    assert await download(agent) == [b"0\n0\n1\n1\n", b"2\n2\n3\n3\n", b"4\n4\n"]


async def test_an_empty_log_is_an_empty_file(agent):
    assert await download(agent) == []


async def test_where_lines_were_dropped_one_says_so(agent):
    for text in "abc":
        await append(agent, text * 10, keep_bytes=25)
    assert b"".join(await download(agent)) == f"{logs.DROPPED}\n{'b' * 10}\n{'c' * 10}\n".encode()


async def test_a_browser_saves_it_and_never_shows_it(agent):
    async with viewing(PATH, agent.owner) as viewer:
        _, headers = await viewer.status()
    assert headers == {
        b"content-type": b"text/plain; charset=utf-8",
        b"content-disposition": b'attachment; filename="scribe.log"',
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"private",
    }


async def test_what_is_written_meanwhile_does_not_make_it_endless(agent, monkeypatch):
    monkeypatch.setattr(log_streams, "DOWNLOAD_CHUNKS", 1)
    await append(agent, "a")
    await append(agent, "b")
    part = log_streams._part

    def growing(log_id, *position):
        logs.append(log_id, [(False, "more")], {})
        return part(log_id, *position)

    monkeypatch.setattr(log_streams, "_part", growing)
    assert await download(agent) == [b"a\n", b"b\n"]


async def test_a_download_leaves_the_viewers_cache_alone(agent):
    await append(agent, "a")
    await download(agent)
    assert not shared_chunks.cache._chunks
