"""Takes what an ended operation left in ``out/`` out of its container, into the storage.

The agent server is not trusted: the bounds that it keeps are kept here again. What was stored
counts only with the transaction that records the operation's end. A process that dies before
that leaves files, which the one that records the end removes: by then it is known which count.
Where none does, ``LeftFolder`` has them removed.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from struct import Struct
from tempfile import TemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist

from agents.database import read
from agents.errors import AgentUnavailable, LeaseLost
from agents.wire import AgentServer, Refused, granted
from operations import artifacts
from operations.artifacts import Unstorable, apart
from operations.models import Artifact, Operation

FILES = 1000
BYTES = 100 * 1024**2
PART_BYTES = 256 * 1024
LENGTH = Struct("!I")
SPOILT = 2**32 - 1
# To go through two hundred thousand names takes a while.
STALL_SECONDS = 20.0
COLLECT_SECONDS = 300.0
# An end must not wait for ever for a storage that is away, or a container that stopped.
GIVE_UP_SECONDS = 10.0
RETRY_SECONDS = 0.5

#: What is left out, by the agent server's word for the reason.
REASONS = {
    "too_many": f"above the limit of {FILES} files",
    "too_large": "above the limit of 100 MB in all",
    "not_a_file": "neither file nor directory; links are not followed",
    "unreadable": "unreadable",
    "name_too_long": "with too long a name",
}

logger = logging.getLogger(__name__)


@asynccontextmanager
async def collected(
    server: AgentServer, operation: Operation, *, is_first: bool = True
) -> AsyncIterator[dict[str, Any]]:
    """Give fields of ``Operation.finish``, to be recorded in the body.

    ``is_first``: nobody can have begun to take them before.
    """
    collection = await _collect(server, operation.pk)
    try:
        yield {
            "artifacts": collection.artifacts,
            "notes": list(collection.notes()),
            "has_strays": collection.has_strays or not is_first,
        }
    except (LeaseLost, ObjectDoesNotExist):
        # Nothing was recorded. After any other failure that is not certain.
        await collection.discard()
        raise
    if collection.artifacts:
        await _clear(operation.pk)


async def _collect(server: AgentServer, operation_id: UUID) -> "_Collection":
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + GIVE_UP_SECONDS
    has_strays = False
    while True:
        collection = _Collection(operation_id, has_strays=has_strays)
        try:
            async with asyncio.timeout(COLLECT_SECONDS):
                await collection.take(server)
        except (AgentUnavailable, Refused, Unstorable, TimeoutError) as error:
            await collection.discard()
            has_strays = collection.has_strays
            if isinstance(error, Refused) or loop.time() > give_up_at:
                logger.warning("Operation %s ends without artifacts: %r", operation_id, error)
                collection.problem = _problem(error)
                return collection
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return collection


def _problem(error: Exception) -> str:
    if isinstance(error, Refused) and error.code == "unknown_verb":
        return "No artifacts were taken: the agent's image is too old for it, restart the agent"
    if isinstance(error, Unstorable):
        return "No artifacts were taken: their storage did not work"
    return "No artifacts were taken: the agent did not give them"


async def _clear(operation_id: UUID) -> None:
    """Delete what earlier attempts have stored."""
    try:
        kept = set(await read(_stored, operation_id))
        await apart(artifacts.erase, operation_id, keep=kept)
    except Unstorable as error:
        logger.warning("Files of operation %s stay until its own end: %s", operation_id, error)


def _stored(operation_id: UUID) -> list[str]:
    return list(
        Artifact.objects.filter(operation_id=operation_id).values_list("stored_as", flat=True)
    )


class _Collection:
    """The artifacts of one operation, stored one after the other."""

    def __init__(self, operation_id: UUID, *, has_strays: bool) -> None:
        self._id = operation_id
        #: Whether files may have stayed that do not count.
        self.has_strays = has_strays
        self._bytes = 0
        self._left_out: Counter[str] = Counter()
        self._is_cut = False
        self._paths: set[str] = set()
        self.artifacts: list[Artifact] = []
        self.problem = ""

    async def take(self, server: AgentServer) -> None:
        """Raise AgentUnavailable, Refused, Unstorable."""
        try:
            async with server.conversation(verb="artifacts", id=str(self._id)) as (_, reader, _):
                while "path" in (told := await granted(reader, STALL_SECONDS)):
                    await self._take_file(str(told["path"]), reader)
        except asyncio.IncompleteReadError as error:
            raise AgentUnavailable("The agent server broke off") from error
        self._hear(told)

    async def discard(self) -> None:
        names = [artifact.stored_as for artifact in self.artifacts]
        self.artifacts = []
        try:
            await apart(artifacts.delete, names)
        except Unstorable as error:
            logger.warning("Files of operation %s stay for now: %s", self._id, error)
            self.has_strays = True

    async def _take_file(self, told: str, reader: asyncio.StreamReader) -> None:
        path = artifacts.safe_path(unquote_to_bytes(told))
        if len(self.artifacts) == FILES or path in self._paths:
            raise AgentUnavailable("The agent server gives files that it should not")
        # It has no name: it goes with this process, whatever ends that.
        with await apart(_temporary) as content:
            digest = await self._receive(content, reader)
            if path is None:
                self._left_out["name_too_long"] += 1
            elif digest:
                await self._keep(path, content, digest)

    async def _receive(self, content: IO[bytes], reader: asyncio.StreamReader) -> str:
        """Return the hash of the content; nothing when it could not be read to its end."""
        digest = sha256()
        while length := LENGTH.unpack(await _exactly(reader, LENGTH.size))[0]:
            if length == SPOILT:
                return ""
            self._bytes += length
            if length > PART_BYTES or self._bytes > BYTES:
                raise AgentUnavailable("The agent server gives more bytes than it should")
            part = await _exactly(reader, length)
            digest.update(part)
            await apart(content.write, part)
        return digest.hexdigest()

    async def _keep(self, path: str, content: IO[bytes], digest: str) -> None:
        artifact = artifacts.new(self._id, path, content.tell(), digest)
        # First, so that it is discarded with the others also when it is half stored.
        self.artifacts.append(artifact)
        self._paths.add(path)
        await apart(artifacts.store, artifact, content)

    def _hear(self, told: dict[str, Any]) -> None:
        left_out = told.get("left_out")
        for word, count in (left_out if isinstance(left_out, dict) else {}).items():
            if type(count) is int and 0 < count < 2**31:
                self._left_out[word] += count
        self._is_cut = told.get("is_cut") is True

    def notes(self) -> Iterator[str]:
        if self.problem:
            yield self.problem
        for word, reason in REASONS.items():
            if count := self._left_out[word]:
                yield f"Not among the artifacts: {count} ({reason})"
        if self._is_cut:
            yield "Not among the artifacts: more, as out/ holds too many names to look at"
        if count := self._left_out["changed"]:
            yield f"Changed while they were taken: {count} of the artifacts"


async def _exactly(reader: asyncio.StreamReader, length: int) -> bytes:
    async with asyncio.timeout(STALL_SECONDS):
        return await reader.readexactly(length)


def _temporary() -> IO[bytes]:
    # In our own directory: the system's may be memory.
    return TemporaryFile(dir=settings.DATA_DIR)
