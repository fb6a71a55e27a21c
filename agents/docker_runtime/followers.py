"""Asynchronous followers of the engine: its events and its containers' logs.

Over aiohttp and not docker-py: a thread per follower would cost more than what it follows,
and this reads a chatty log about twice as fast.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from agents.docker_runtime.frames import FrameParser
from agents.docker_runtime.repeats import Repeats
from agents.errors import ContainerMissing, EngineUnavailable
from agents.runtime import Change, ContainerEvent, LogEntry

CONNECT_SECONDS = 5
READ_BYTES = 256 * 1024
# A log entry is at most 16 KiB of JSON text; this bounds an event and a sample likewise.
LINE_BYTES = 1024 * 1024

_CHANGES = {
    "start": Change.STARTED,
    "die": Change.STOPPED,
    "pause": Change.PAUSED,
    "unpause": Change.RESUMED,
    "destroy": Change.REMOVED,
    "oom": Change.OUT_OF_MEMORY,
}


@asynccontextmanager
async def _open(
    engine_url: str,
    path: str,
    params: dict[str, str],
    *,
    method: str = "GET",
    read_bytes: int = READ_BYTES,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open an endless answer; raise EngineUnavailable or ContainerMissing."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    connector, base = _connector(engine_url)
    try:
        async with (
            # In HTTP/1.0 the answer comes as it is. Else each log entry is a chunk of its own,
            # and taking them apart costs more than all that is done with them here.
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                read_bufsize=read_bytes,
                version=aiohttp.HttpVersion10,
            ) as session,
            session.request(method, base + path, params=params) as response,
        ):
            if response.status == 404:
                raise ContainerMissing("The container is gone")
            if response.status != 200:
                raise EngineUnavailable(f"The engine answered {response.status} to {path}")
            yield response
    except (aiohttp.ClientError, OSError) as error:
        raise EngineUnavailable("The container engine went away") from error


def _connector(engine_url: str) -> tuple[aiohttp.BaseConnector, str]:
    if engine_url.startswith("unix://"):
        return aiohttp.UnixConnector(engine_url.removeprefix("unix://")), "http://engine"
    return aiohttp.TCPConnector(), engine_url.replace("tcp://", "http://", 1)


async def events(engine_url: str, *, instance: str) -> AsyncIterator[ContainerEvent | None]:
    filters = {"type": ["container"], "label": [f"trinity.instance={instance}"]}
    async with _open(engine_url, "/events", {"filters": json.dumps(filters)}) as response:
        yield None
        async for line in _lines(response):
            yield _event(line)
    raise EngineUnavailable("The container engine went away")


async def stats(engine_url: str, container_id: str) -> AsyncIterator[bytes]:
    """A sample each second as JSON, as long as the container is there."""
    async with _open(engine_url, f"/containers/{container_id}/stats", {"stream": "1"}) as response:
        async for line in _lines(response):
            yield line


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    buffer = b""
    async for received in response.content.iter_any():
        *lines, buffer = (buffer + received).split(b"\n")
        if len(buffer) > LINE_BYTES:
            raise EngineUnavailable("The engine sent a line without an end")
        for line in lines:
            yield line


def _event(line: bytes) -> ContainerEvent:
    told = json.loads(line)
    change = _CHANGES.get(told["Action"], Change.OTHER)
    return ContainerEvent(told["Actor"]["ID"], change, told["Actor"]["Attributes"])


async def log(
    engine_url: str, container_id: str, *, since_ns: int, follow: bool
) -> AsyncIterator[list[LogEntry]]:
    seconds, nanoseconds = divmod(since_ns, 1_000_000_000)
    params = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "1" if follow else "0",
        "since": f"{seconds}.{nanoseconds:09d}",
    }
    parser, repeats = FrameParser(), Repeats()
    async with _open(engine_url, f"/containers/{container_id}/logs", params) as response:
        async for received in response.content.iter_any():
            # Also an empty batch: it says that there is still something to read.
            yield repeats.left_out(parser.feed(received))


@asynccontextmanager
async def hold_back(engine_url: str, container_id: str) -> AsyncIterator[None]:
    """Attach, and read nothing: the engine gives to all readers of a container what it reads.

    It keeps a megabyte for one that is slow (``BytesPipe``), and then reads no further.
    """
    path, params = (
        f"/containers/{container_id}/attach",
        {"stream": "1", "stdout": "1", "stderr": "1"},
    )
    async with _open(engine_url, path, params, method="POST", read_bytes=1):
        yield
