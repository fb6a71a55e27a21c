"""Files below an agent's workspace, through the server inside its container.

The host follows no path that an agent can write: it only names one, and checks what it is
told. Paths are bytes, as they are for the kernel; what goes out to people is text.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from struct import Struct
from typing import Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote_to_bytes

from agents import control, errors
from agents.containers import server_of
from agents.database import read
from agents.errors import AgentUnavailable, InvalidPath, OutsideWorkspace, WrongKind
from agents.models import Agent
from agents.wire import Refused, granted
from trinity.errors import TooLarge, TrinityError

WORKSPACE = "/home/developer"
FILE_BYTES = 100 * 1024**2
PATH_BYTES = 4096
NAME_BYTES = 255
PART_BYTES = 256 * 1024
LENGTH = Struct("!I")
# A verb of the API answers within 25 s.
DELETE_SECONDS = 20.0
STORE_SECONDS = 20.0
# A peer that neither takes nor gives anything for so long has gone.
STALL_SECONDS = 20.0
UPLOAD_SECONDS = 3600.0

TOO_LARGE = "Files of more than 100 MB are not transferred"
MEANINGS: dict[str, tuple[type[TrinityError], str]] = {
    "not_found": (errors.FileMissing, "There is no {}"),
    "outside_workspace": (
        OutsideWorkspace,
        "{} leads out of the workspace: links are not followed",
    ),
    "is_directory": (WrongKind, "{} is a directory"),
    "not_a_directory": (WrongKind, "{} is no directory, or lies below a file"),
    "not_a_file": (WrongKind, "{} is neither a file nor a directory"),
    "is_workspace": (WrongKind, "The workspace itself cannot be deleted"),
    "too_large": (TooLarge, TOO_LARGE),
    "disk_full": (errors.DiskFull, "The agent's disk is full: delete something first"),
    "not_permitted": (errors.NotPermitted, "The agent itself may not do this to {}"),
    "changed": (errors.Busy, "{} was changed at the same time: try again"),
    "bad_request": (InvalidPath, "The agent's file system takes no such name"),
    "unknown_verb": (AgentUnavailable, "The agent's image is too old for this: restart the agent"),
}

_ROOT = [part.encode() for part in WORKSPACE.split("/") if part]


@dataclass(frozen=True, slots=True)
class FilePath:
    """A place in the workspace, by the names that lead to it."""

    parts: tuple[bytes, ...] = ()

    @classmethod
    def asked_for(cls, query: str) -> Self:
        """Return what a query names by ``path``, byte for byte."""
        found = parse_qs(query, encoding="latin-1").get("path", [""])
        return cls.parse(found[-1].encode("latin-1", "replace"))

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Resolve ``..`` by the text alone: no link is followed, so none changes its meaning."""
        parts = [] if text.startswith(b"/") else list(_ROOT)
        for part in text.split(b"/"):
            if part == b"..":
                del parts[-1:]
            elif part not in {b"", b"."}:
                parts.append(part)
        if parts[: len(_ROOT)] != _ROOT:
            raise OutsideWorkspace(f"Only what lies below {WORKSPACE} can be reached")
        _check(text, parts)
        return cls(tuple(parts[len(_ROOT) :]))

    @property
    def encoded(self) -> str:
        return quote(b"/".join(self.parts))

    @property
    def is_text(self) -> bool:
        return all(_is_text(part) for part in self.parts)

    @property
    def relative(self) -> str:
        return b"/".join(self.parts).decode(errors="replace")

    @property
    def absolute(self) -> str:
        return "/".join([WORKSPACE, self.relative] if self.parts else [WORKSPACE])

    @property
    def name(self) -> str:
        return (self.parts[-1] if self.parts else _ROOT[-1]).decode(errors="replace")

    def below(self, name: bytes) -> "FilePath":
        return FilePath((*self.parts, name))


def _check(text: bytes, parts: list[bytes]) -> None:
    if b"\0" in text:
        raise InvalidPath("A path cannot hold the character NUL")
    if len(text) > PATH_BYTES or any(len(part) > NAME_BYTES for part in parts):
        raise InvalidPath(f"A path has at most {PATH_BYTES} bytes, a name {NAME_BYTES}")


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


async def listing(agent: Agent, path: FilePath) -> dict[str, Any]:
    """Return the root of the tree below a directory, as the server tells it."""
    async with _asked(agent, path, "files.list") as (answer, _, _):
        return answer


async def delete(agent: Agent, path: FilePath) -> Literal["file", "directory"]:
    """Delete a file or a directory with all that is in it; return which it was."""
    await read(_check_control, agent)
    async with _asked(agent, path, "files.delete", seconds=DELETE_SECONDS) as (answer, _, _):
        return "directory" if answer.get("kind") == "directory" else "file"


@asynccontextmanager
async def opened(agent: Agent, path: FilePath) -> AsyncIterator[tuple[int, AsyncGenerator[bytes]]]:
    """Give a file's size, and its bytes as they are taken."""
    async with _asked(agent, path, "files.read") as (answer, reader, _):
        size = answer.get("size")
        if type(size) is not int or not 0 <= size <= FILE_BYTES:
            raise AgentUnavailable("The agent server does not say how large the file is")
        yield size, _taken(reader, size)


async def _taken(reader: asyncio.StreamReader, size: int) -> AsyncGenerator[bytes]:
    while size:
        async with asyncio.timeout(STALL_SECONDS):
            part = await reader.read(min(PART_BYTES, size))
        if not part:
            raise AgentUnavailable("The file became shorter while it was read")
        size -= len(part)
        yield part


async def store(agent: Agent, path: FilePath, content: AsyncGenerator[bytes]) -> int:
    """Write a file, or nothing when the content breaks off; return its size.

    The content is asked for only once the agent's server has agreed to take it.
    """
    await read(_check_control, agent)
    async with _asked(agent, path, "files.write") as (_, reader, writer):
        verdict = asyncio.create_task(granted(reader, UPLOAD_SECONDS))
        try:
            size = await _pass_on(content, writer, verdict)
            async with asyncio.timeout(STORE_SECONDS):
                await verdict
        finally:
            verdict.cancel()
            with suppress(asyncio.CancelledError, Refused, AgentUnavailable, OSError):
                await verdict
        return size


async def _pass_on(
    content: AsyncGenerator[bytes],
    writer: asyncio.StreamWriter,
    verdict: "asyncio.Task[dict[str, Any]]",
) -> int:
    size = 0
    async for part in content:
        size += len(part)
        if size > FILE_BYTES:
            raise TooLarge(TOO_LARGE)
        if verdict.done():
            # It has refused, and takes no more.
            return size
        for start in range(0, len(part), PART_BYTES):
            piece = part[start : start + PART_BYTES]
            writer.write(LENGTH.pack(len(piece)) + piece)
        async with asyncio.timeout(STALL_SECONDS):
            await writer.drain()
    writer.write(LENGTH.pack(0))
    return size


@asynccontextmanager
async def _asked(
    agent: Agent, path: FilePath, verb: str, *, seconds: float | None = None
) -> AsyncIterator[tuple[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter]]:
    if agent.status != Agent.Status.RUNNING:
        raise errors.AgentNotRunning("Agent is not running")
    if agent.is_paused:
        raise errors.AgentPaused(agent.name)
    conversation = server_of(agent).conversation(seconds=seconds, verb=verb, path=path.encoded)
    try:
        async with conversation as answered:
            yield answered
    except Refused as refusal:
        raise _error(refusal.code, path.absolute) from refusal


def _check_control(agent: Agent) -> None:
    control.check(agent.host)


def _error(code: str, path: str) -> TrinityError:
    """What a refusal means to people; the server's own words are not passed on."""
    kind, text = MEANINGS.get(code, (AgentUnavailable, "The agent server could not do it"))
    return kind(text.format(path))


def name_of(node: dict[str, Any]) -> bytes:
    """Return a name that the server lists; raise AgentUnavailable for what no file is called."""
    text = node.get("name")
    name = unquote_to_bytes(text) if isinstance(text, str) else b""
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name or len(name) > NAME_BYTES:
        raise AgentUnavailable("The agent server lists something that is no file")
    return name
