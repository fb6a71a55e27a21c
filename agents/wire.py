"""Speaking with the server inside an agent's container: proof, requests, output records.

The other side is not trusted: each answer has a bound in size and time, and is checked.
"""

import asyncio
import hmac
import json
import secrets
import socket
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from agents.errors import AgentBusy, AgentUnavailable
from agents.spares import Connection, Spares

PROTOCOL = 1
LINE_LIMIT = 1024 * 1024
ANSWER_SECONDS = 5.0
# For a server that many connect to at once; it is asked again each so many seconds.
CONNECT_SECONDS = 2.0
BUSY_SECONDS = 0.01
RECORD_HEADER = struct.Struct("!BdI")
RECORD_LIMIT = 1024 * 1024


class Refused(Exception):
    """The agent server's own word that it will not; ``code`` is the protocol's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class WrongGeneration(Exception):
    """The container's server, but of another generation than it should be."""


class Kind(IntEnum):
    STDOUT = 1
    STDERR = 2
    END = 9


_KINDS = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Record:
    """A piece of an operation's output, or its end."""

    kind: Kind
    time: float
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes that the record takes in the spool, which offsets count."""
        return RECORD_HEADER.size + len(self.payload)


def prove(key: str, role: str, challenge: str) -> str:
    return hmac.new(
        key.encode(), f"{role}:{challenge}".encode(errors="replace"), sha256
    ).hexdigest()


def check_greeting(answer: dict[str, Any], key: str, challenge: str) -> None:
    """Raise AgentUnavailable unless whoever answers holds the container's key."""
    proof = answer.get("proof")
    if not isinstance(proof, str) or not hmac.compare_digest(
        proof.encode(errors="replace"), prove(key, "server", challenge).encode()
    ):
        raise AgentUnavailable("The agent server could not prove that it is the container's own")
    if answer.get("protocol") != PROTOCOL:
        raise AgentUnavailable("The agent server speaks another protocol: rebuild its image")


def decode(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    # Brackets nested a thousand deep end in a RecursionError.
    except (ValueError, RecursionError) as error:
        raise AgentUnavailable("The agent server answered with something unreadable") from error
    if not isinstance(answer, dict):
        raise AgentUnavailable("The agent server answered with something unreadable")
    return answer


def encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def said(value: object, limit: int) -> str:
    """Text of the other side's choosing in a form that every database takes."""
    text = str(value)[:limit].encode(errors="replace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def configure(
    connection: socket.socket,
    key: str,
    generation: int,
    *,
    environment: dict[str, str],
    unless_configured: bool = False,
) -> bool:
    """Hand the agent's environment over to the server of a generation; return whether it took it.

    Blocking, for the verbs that wait until an agent is ready; closes the connection. Nothing of
    it is sent before the other side has proved what it is. Raises AgentUnavailable, Refused,
    and WrongGeneration.
    """
    with _blocking(connection):
        answering, challenge = _greet(connection, key)
        if answering != generation:
            raise WrongGeneration(f"It answers as generation {answering}")
        proof = {"proof": prove(key, "client", challenge)}
        fields = {"environment": environment, "unless_configured": unless_configured}
        connection.sendall(encode(proof) + encode({"verb": "configure", **fields}))
        return _granted(decode(_read_line(connection))).get("taken") is True


@contextmanager
def _blocking(connection: socket.socket) -> Iterator[None]:
    try:
        with connection:
            connection.settimeout(ANSWER_SECONDS)
            yield
    except OSError as error:
        raise AgentUnavailable("The agent server does not answer") from error


def _greet(connection: socket.socket, key: str) -> tuple[int, str]:
    """Return the generation that has proved itself, and its own challenge."""
    challenge = secrets.token_hex(32)
    connection.sendall(encode({"challenge": challenge}))
    greeting = decode(_read_line(connection))
    check_greeting(greeting, key, challenge)
    generation = greeting.get("generation")
    if not isinstance(generation, int):
        raise AgentUnavailable("The agent server does not say which generation it is")
    return generation, str(greeting.get("challenge"))


def _granted(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok") is not True:
        raise Refused(said(answer.get("code"), 40), said(answer.get("detail"), 300))
    return answer


def _read_line(connection: socket.socket) -> bytes:
    """Read up to a newline, in time also when the bytes come one by one."""
    deadline = time.monotonic() + ANSWER_SECONDS
    line = b""
    while b"\n" not in line and len(line) <= LINE_LIMIT:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        received = connection.recv(64 * 1024)
        if not received:
            break
        line += received
    return line.partition(b"\n")[0]


class AgentServer:
    """An agent's server; every call is a connection of its own, with a proof of its own."""

    def __init__(
        self, connect: Callable[[], socket.socket], key: str, spares: Spares | None = None
    ) -> None:
        self._connect = connect
        self.key = key
        self._spares = spares
        #: What the operation that was started last writes, from its beginning.
        self._kept: tuple[str, asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start(self, operation: str, epoch: int, spec: dict[str, Any]) -> str:
        """Start the operation, once however often it is asked; return ``running|finished``.

        What it writes follows on the same connection, which is kept for ``attach``: another one
        would take as long as a short program. Servers of older images close it instead.
        """
        asked = {"verb": "start", "id": operation, "epoch": epoch, "spec": spec, "follow": 0}
        # Later than that it is not waited for: a server that was held up must not begin it then.
        asked["before"] = time.time() + ANSWER_SECONDS
        spare = self._spares.take(self.key) if self._spares else None
        try:
            answer, reader, writer = await self._asked(asked, spare)
        except Refused as error:
            if error.code == "late":
                raise AgentUnavailable("The agent server was held up") from error
            raise
        self._close_kept()
        if answer.get("follows") is True:
            self._kept = operation, reader, writer
        else:
            writer.close()
        return str(answer.get("state"))

    async def make_spare(self) -> None:
        """Connect for what is started next, unless that is done."""
        if self._spares and not self._spares.has(self.key):
            reader, writer, greeting = await self._greeted()
            # Servers of older images would begin late what has waited in an open connection.
            if greeting.get("refuses_late") is True:
                self._spares.keep(self.key, (reader, writer))
            else:
                writer.close()

    def _close_kept(self) -> None:
        if self._kept:
            self._kept[2].close()
        self._kept = None

    async def signal(self, operation: str, epoch: int, **fields: Any) -> None:
        await self._call(verb="signal", id=operation, epoch=epoch, **fields)

    async def forget(self, operation: str, epoch: int) -> None:
        await self._call(verb="forget", id=operation, epoch=epoch)

    async def operations(self) -> list[UUID]:
        """Those whose output the server still keeps."""
        answer = await self._call(verb="ping")
        try:
            return [UUID(text) for text in answer.get("operations", [])]
        except (ValueError, TypeError, AttributeError) as error:
            raise AgentUnavailable("The agent server names no operations") from error

    async def attach(self, operation: str, offset: int) -> AsyncGenerator[list[Record]]:
        """Yield what was written from an offset on, in batches as it comes; END is the last.

        An empty batch says that the server is there, before it has anything to give.
        """
        reader, writer = await self._attached(operation, offset)
        try:
            yield []
            async with aclosing(_records(reader)) as batches:
                async for batch in batches:
                    yield batch
        except OSError as error:
            raise AgentUnavailable("The agent server went away") from error
        finally:
            writer.close()

    async def _attached(
        self, operation: str, offset: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._kept and self._kept[0] == operation and not offset:
            (_, reader, writer), self._kept = self._kept, None
        else:
            self._close_kept()
            asked = {"verb": "attach", "id": operation, "offset": offset}
            _, reader, writer = await self._asked(asked)
        return reader, writer

    @asynccontextmanager
    async def conversation(
        self, *, seconds: float | None = None, **request: Any
    ) -> AsyncIterator[tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]]:
        """Give what a request is answered, and the connection for what follows."""
        reader, writer = await self._open()
        try:
            writer.write(encode(request))
            yield await granted(reader, seconds), reader, writer
        except OSError as error:
            raise AgentUnavailable("The agent server went away") from error
        finally:
            writer.close()

    async def _call(self, **request: Any) -> dict[str, Any]:
        answer, _, writer = await self._asked(request)
        writer.close()
        return answer

    async def _asked(
        self, request: dict[str, Any], connection: Connection | None = None
    ) -> tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the answer, and the connection, which is the caller's to close."""
        reader, writer = connection or await self._open()
        try:
            return await self._request(reader, writer, request), reader, writer
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError):
                raise AgentUnavailable("The agent server does not answer") from error
            raise

    async def _open(self) -> Connection:
        reader, writer, _ = await self._greeted()
        return reader, writer

    async def _greeted(
        self,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, Any]]:
        connection = await self._connection()
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LINE_LIMIT)
        except OSError as error:
            connection.close()
            raise AgentUnavailable("The agent server does not answer") from error
        try:
            return reader, writer, await self._greet(reader, writer)
        except BaseException as error:
            writer.close()
            if isinstance(error, OSError):
                raise AgentUnavailable("The agent server does not answer") from error
            raise

    async def _connection(self) -> socket.socket:
        """Connect, as soon as the server takes one more."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CONNECT_SECONDS
        while True:
            try:
                return self._connect()
            except AgentBusy:
                if loop.time() > give_up_at:
                    raise
            await asyncio.sleep(BUSY_SECONDS)

    async def _greet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> dict[str, Any]:
        challenge = secrets.token_hex(32)
        writer.write(encode({"challenge": challenge}))
        greeting = await _answer(reader)
        check_greeting(greeting, self.key, challenge)
        writer.write(encode({"proof": prove(self.key, "client", str(greeting.get("challenge")))}))
        return greeting

    @staticmethod
    async def _request(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]
    ) -> dict[str, Any]:
        writer.write(encode(request))
        return _granted(await _answer(reader))


async def granted(reader: asyncio.StreamReader, seconds: float | None = None) -> dict[str, Any]:
    """Return the next answer; raise Refused if it is none that was wished for."""
    return _granted(await _answer(reader, seconds))


async def _answer(reader: asyncio.StreamReader, seconds: float | None = None) -> dict[str, Any]:
    try:
        async with asyncio.timeout(seconds or ANSWER_SECONDS):
            return decode(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
        raise AgentUnavailable("The agent server does not answer") from error


async def _records(reader: asyncio.StreamReader) -> AsyncGenerator[list[Record]]:
    buffer = bytearray()
    while received := await reader.read(256 * 1024):
        buffer += received
        batch = list(_take_records(buffer))
        if batch:
            yield batch
        if batch and batch[-1].kind is Kind.END:
            return
    raise AgentUnavailable("The agent server went away")


def _take_records(buffer: bytearray) -> list[Record]:
    """Remove the whole records from the front of a buffer."""
    records, position = [], 0
    while len(buffer) - position >= RECORD_HEADER.size:
        kind, at, length = RECORD_HEADER.unpack_from(buffer, position)
        if kind not in _KINDS or length > RECORD_LIMIT:
            raise AgentUnavailable("The agent server sent something that is no record")
        end = position + RECORD_HEADER.size + length
        if len(buffer) < end:
            break
        records.append(Record(Kind(kind), at, bytes(buffer[position + RECORD_HEADER.size : end])))
        position = end
    del buffer[:position]
    return records
