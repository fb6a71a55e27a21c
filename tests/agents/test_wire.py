"""The server inside a container is not trusted: it proves itself, and every answer is checked."""

import asyncio
import shutil
import struct
import tempfile
import time
from pathlib import Path

import pytest

from agents import sockets, wire
from agents.errors import AgentBusy, AgentUnavailable
from agents.spares import Spares
from agents.wire import AgentServer, Kind, Refused, WrongGeneration
from tests.agents.peers import KEY, agent_listening, greeting, greets, read_line, says

HEADER = struct.Struct("!BdI")
BOMB = b"[" * 100_000 + b"\n"


@pytest.fixture
def directory():
    folder = Path(tempfile.mkdtemp(prefix="wire-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def server(directory):
    return AgentServer(lambda: sockets.connect(directory), KEY)


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.3)


def record(kind, payload):
    return HEADER.pack(kind, 1.0, len(payload)) + payload


def drips(connection):
    """Send a byte now and then, for ever: no single wait is long."""
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def floods(connection):
    while True:
        connection.sendall(b"x" * 65536)


def greets_by(**fields):
    return lambda connection: connection.sendall(
        greeting(read_line(connection)["challenge"], **fields)
    )


RUBBISH = {
    "nothing": says(),
    "drips": drips,
    "floods": floods,
    "no JSON": says(b"hello\n"),
    "no object": says(b"[1]\n"),
    "a bomb of brackets": says(BOMB),
    "no UTF-8": says(b'{"proof": "\xff"}\n'),
    "no proof": says(b"{}\n"),
    "a proof of another type": greets_by(proof=5),
    "a proof that is not ASCII": greets_by(proof="é"),
    "another's key": greets_by(key="6" * 64),
    "another's challenge": says(greeting("d" * 64)),
    "another protocol": greets_by(protocol=2),
}


@pytest.mark.parametrize("peer", RUBBISH.values(), ids=RUBBISH)
@pytest.mark.usefixtures("_impatient")
class TestGreeting:
    async def test_a_call_ends_in_time(self, directory, server, peer):
        with agent_listening(directory, peer), pytest.raises(AgentUnavailable):
            await server.start("1", 1, {})

    def test_handing_the_environment_over_ends_in_time(self, directory, peer):
        began = time.monotonic()
        with agent_listening(directory, peer), pytest.raises(AgentUnavailable):
            configure(directory)
        assert time.monotonic() - began < 20


def configure(directory):
    connection = sockets.connect(directory)
    return wire.configure(connection, KEY, 7, environment={"TOKEN": "hush"})


def test_a_server_that_proved_itself_is_handed_the_environment(directory):
    heard = []

    def takes(connection):
        greets_by()(connection)
        heard.extend([read_line(connection), read_line(connection)])
        connection.sendall(b'{"ok": true, "taken": true}\n')

    with agent_listening(directory, takes):
        assert configure(directory) is True
    assert heard[1]["environment"] == {"TOKEN": "hush"}


def test_a_server_may_refuse_the_environment(directory):
    refusal = b'{"ok": false, "code": "unknown_verb", "detail": "no such"}\n'
    with agent_listening(directory, greets(refusal)), pytest.raises(Refused, match="no such"):
        configure(directory)


@pytest.mark.parametrize("generation", ["7", 8, None])
def test_another_generation_is_handed_nothing(directory, generation):
    heard = []

    def other(connection):
        greets_by(generation=generation)(connection)
        heard.append(connection.recv(4096))

    with (
        agent_listening(directory, other),
        pytest.raises((AgentUnavailable, WrongGeneration)),
    ):
        configure(directory)
    assert heard in ([], [b""])


async def test_nothing_is_asked_of_a_server_that_has_not_proved_itself(directory, server):
    heard = []

    def impostor(connection):
        heard.append(read_line(connection))
        connection.sendall(greeting("e" * 64))
        heard.append(connection.recv(4096))

    with agent_listening(directory, impostor), pytest.raises(AgentUnavailable):
        await server.start("1", 1, {"env": {"SECRET": "x"}})
    assert [set(each) for each in heard[:1]] == [{"challenge"}]
    assert heard[1:] in ([], [b""])


@pytest.mark.parametrize("answer", [b"rubbish\n", b"[]\n", b"", b"x" * (2 * 1024**2), BOMB])
@pytest.mark.usefixtures("_impatient")
async def test_a_bad_answer_to_a_request_is_no_answer(directory, server, answer):
    with agent_listening(directory, greets(answer)), pytest.raises(AgentUnavailable):
        await server.start("1", 1, {})


async def test_a_refusal_is_bounded_and_can_be_stored(directory, server):
    answer = b'{"ok": false, "code": "%s", "detail": "a\\u0000\\ud800%s"}\n'
    with (
        agent_listening(directory, greets(answer % (b"c" * 100, b"d" * 1000))),
        pytest.raises(Refused) as refused,
    ):
        await server.start("1", 1, {})
    assert refused.value.code == "c" * 40
    assert len(str(refused.value)) == 300
    assert "\0" not in str(refused.value)
    str(refused.value).encode()


async def collect(server):
    return [record async for batch in server.attach("1", 0) for record in batch]


async def test_records_come_whole_however_they_are_split(directory, server):
    stream = record(1, b"out") + record(2, b"err") + record(9, b"{}")
    parts = [stream[index : index + 1] for index in range(len(stream))]
    with agent_listening(directory, greets(b'{"ok": true}\n', *parts)):
        records = await collect(server)
    assert [(each.kind, each.payload) for each in records] == [
        (Kind.STDOUT, b"out"),
        (Kind.STDERR, b"err"),
        (Kind.END, b"{}"),
    ]
    assert sum(each.size for each in records) == len(stream)


async def test_what_follows_a_start_is_read_on_its_connection(directory, server):
    answer = b'{"ok": true, "state": "running", "follows": true}\n'
    stream = record(1, b"out") + record(9, b"{}")
    with agent_listening(directory, greets(answer + stream)) as connections:
        assert await server.start("1", 1, {}) == "running"
        assert [each.payload for each in await collect(server)] == [b"out", b"{}"]
        assert len(connections) == 1


async def test_where_nothing_follows_a_start_it_is_asked_for(directory, server):
    stream = record(9, b"{}")
    with agent_listening(directory, greets(b'{"ok": true}\n' + stream)) as connections:
        await server.start("1", 1, {})
        assert len(await collect(server)) == 1
        assert len(connections) == 2


async def test_what_follows_is_of_one_operation_from_its_beginning(directory, server):
    answer = b'{"ok": true, "follows": true}\n' + record(9, b"{}")
    with agent_listening(directory, greets(answer)) as connections:
        await server.start("another", 1, {})
        assert len(await collect(server)) == 1
        assert len(connections) == 2


async def test_a_server_that_many_connect_to_at_once_is_asked_again(directory):
    answer = b'{"ok": true}\n' + record(9, b"{}")
    attempts = []

    def connect():
        attempts.append("")
        if len(attempts) < 3:
            raise AgentBusy("full")
        return sockets.connect(directory)

    with agent_listening(directory, greets(answer)):
        assert len(await collect(AgentServer(connect, KEY))) == 1
    assert len(attempts) == 3


async def test_one_that_stays_full_is_given_up(monkeypatch):
    def connect():
        raise AgentBusy("full")

    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.05)
    with pytest.raises(AgentUnavailable):
        await collect(AgentServer(connect, KEY))


ANSWER = b'{"ok": true, "state": "running"}\n'


async def test_what_is_started_finds_a_connection_that_was_made_ahead(directory):
    spares = Spares()
    server = AgentServer(lambda: sockets.connect(directory), KEY, spares)
    with agent_listening(directory, greets(ANSWER, refuses_late=True)) as connections:
        await server.make_spare()
        await server.make_spare()
        assert len(connections) == 1
        assert await server.start("1", 1, {}) == "running"
        assert len(connections) == 1
        assert not spares.has(KEY)


async def test_a_connection_that_is_over_is_not_used(directory):
    spares = Spares()
    server = AgentServer(lambda: sockets.connect(directory), KEY, spares)
    with agent_listening(directory, greets(refuses_late=True)) as connections:
        await server.make_spare()
    async with asyncio.timeout(10):
        while spares.has(KEY):
            await asyncio.sleep(0)
    (directory / sockets.SOCKET_NAME).unlink()
    with agent_listening(directory, greets(ANSWER, refuses_late=True)) as connections:
        assert await server.start("1", 1, {}) == "running"
        assert len(connections) == 1


async def test_none_is_kept_to_a_server_that_would_begin_late(directory):
    spares = Spares()
    server = AgentServer(lambda: sockets.connect(directory), KEY, spares)
    with agent_listening(directory, greets(ANSWER)):
        await server.make_spare()
        assert not spares.has(KEY)


async def test_none_is_kept_to_a_server_that_is_no_more(directory):
    spares = Spares()
    server = AgentServer(lambda: sockets.connect(directory), KEY, spares)
    with agent_listening(directory, greets(ANSWER, refuses_late=True)):
        await server.make_spare()
        spares.keep_only([KEY])
        assert spares.has(KEY)
        spares.keep_only([])
        assert not spares.has(KEY)


async def test_a_server_that_was_held_up_is_asked_again(directory, server):
    answer = b'{"ok": false, "code": "late", "detail": "too old"}\n'
    with agent_listening(directory, greets(answer)), pytest.raises(AgentUnavailable):
        await server.start("1", 1, {})


@pytest.mark.parametrize(
    "stream",
    [
        record(3, b"unknown kind"),
        HEADER.pack(1, 1.0, wire.RECORD_LIMIT + 1),
        HEADER.pack(1, 1.0, 2**32 - 1),
        record(1, b"no end"),
        record(1, b"cut")[:-1],
    ],
)
async def test_a_stream_that_is_none_or_has_no_end_is_told(directory, server, stream):
    def peer(connection):
        connection.sendall(greeting(read_line(connection)["challenge"]))
        read_line(connection)
        read_line(connection)
        connection.sendall(b'{"ok": true}\n' + stream)

    with agent_listening(directory, peer), pytest.raises(AgentUnavailable):
        await collect(server)
