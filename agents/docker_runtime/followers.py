"""Asynchronous followers of the engine: its events and its containers' logs.

Over aiohttp and not docker-py: a thread per follower would cost more than what it follows,
and this reads a chatty log about twice as fast.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from agents.docker_runtime.frames import FrameParser
from agents.errors import ContainerMissing, EngineUnavailable
from agents.runtime import Change, ContainerEvent, LogEntry

CONNECT_SECONDS = 5
READ_BYTES = 256 * 1024
# A log entry is at most 16 KiB of JSON text; this bounds an event likewise.
EVENT_BYTES = 1024 * 1024

_CHANGES = {
    "start": Change.STARTED,
    "die": Change.STOPPED,
    "destroy": Change.REMOVED,
    "oom": Change.OUT_OF_MEMORY,
}


@asynccontextmanager
async def _get(
    engine_url: str, path: str, params: dict[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open an endless answer; raise EngineUnavailable or ContainerMissing."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    connector, base = _connector(engine_url)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, read_bufsize=READ_BYTES
            ) as session,
            session.get(base + path, params=params) as response,
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
    async with _get(engine_url, "/events", {"filters": json.dumps(filters)}) as response:
        yield None
        buffer = b""
        async for received in response.content.iter_any():
            *lines, buffer = (buffer + received).split(b"\n")
            if len(buffer) > EVENT_BYTES:
                raise EngineUnavailable("The engine sent an event without an end")
            for line in lines:
                yield _event(line)
    raise EngineUnavailable("The container engine went away")


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
    parser = FrameParser()
    async with _get(engine_url, f"/containers/{container_id}/logs", params) as response:
        async for received in response.content.iter_any():
            if entries := parser.feed(received):
                yield entries
