"""What containers use, from the engine: where the host's cgroups cannot be seen.

A stream for each container, all in one thread: asking for a single sample takes the engine a
second, while a stream brings one each second.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.docker_runtime import followers
from agents.errors import ContainerMissing, EngineUnavailable
from agents.runtime import Usage

# 200 streams cost 29 % of a core (docs/decisions/0018-firehose-and-disk.md).
STREAMS = 200
# A sample this old tells nothing of now; a stream that nobody asks for so long is closed.
FRESH_SECONDS = 5.0
IDLE_SECONDS = 30.0
ANSWER_SECONDS = 5.0


@dataclass(slots=True)
class _Stream:
    task: asyncio.Task[None]
    asked_at: float
    latest: Usage | None = None
    sampled_at: float = 0.0

    def usage(self, now: float) -> Usage:
        if self.latest is None or now - self.sampled_at > FRESH_SECONDS:
            return Usage(at=now)
        return self.latest


class StatsStreams:
    def __init__(self, engine_url: Callable[[], str]) -> None:
        self._engine_url = engine_url
        self._streams: dict[str, _Stream] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def usage(self, container_ids: Iterable[str]) -> dict[str, Usage]:
        """The latest samples; no figure is known before the first, and none beyond the bound.

        A container whose stream has ended is left out, once: asked for again, it is tried again.
        """
        asking = asyncio.run_coroutine_threadsafe(self._latest(list(container_ids)), self._thread())
        return asking.result(ANSWER_SECONDS)

    def _thread(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                run = self._loop.run_forever
                threading.Thread(target=run, name="engine-stats", daemon=True).start()
            return self._loop

    async def _latest(self, container_ids: list[str]) -> dict[str, Usage]:
        now = time.monotonic()
        ended = {key for key, stream in self._streams.items() if stream.task.done()}
        for key in ended:
            del self._streams[key]
        for key in container_ids:
            if key in self._streams:
                self._streams[key].asked_at = now
            elif key not in ended and len(self._streams) < STREAMS:
                self._streams[key] = _Stream(asyncio.create_task(self._follow(key)), now)
        self._close_idle(now)
        known = (key for key in container_ids if key not in ended)
        return {
            key: self._streams[key].usage(now) if key in self._streams else Usage(at=now)
            for key in known
        }

    def _close_idle(self, now: float) -> None:
        for stream in self._streams.values():
            if now - stream.asked_at > IDLE_SECONDS:
                stream.task.cancel()

    async def _follow(self, container_id: str) -> None:
        with suppress(ContainerMissing, EngineUnavailable):
            async for line in followers.stats(self._engine_url(), container_id):
                usage = usage_of(json.loads(line))
                if usage is None:
                    return
                stream = self._streams[container_id]
                stream.latest, stream.sampled_at = usage, time.monotonic()


def usage_of(told: dict[str, Any]) -> Usage | None:
    """None for what the engine says of a container that does not run."""
    if told["read"].startswith("0001"):
        return None
    networks = told.get("networks")
    return Usage(
        at=_seconds(told["read"]),
        cpu_seconds=_cpu_seconds(told),
        memory_bytes=_memory_bytes(told.get("memory_stats", {})),
        memory_limit_bytes=told.get("memory_stats", {}).get("limit"),
        network_rx_bytes=_sum(networks, "rx_bytes"),
        network_tx_bytes=_sum(networks, "tx_bytes"),
    )


def _seconds(stamp: str) -> float:
    """To the microsecond; the engine says nanoseconds, and leaves zeros at their end away."""
    second, _, fraction = stamp.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{second}.{fraction[:6]:0<6}+00:00").timestamp()


def _cpu_seconds(told: dict[str, Any]) -> float | None:
    nanoseconds = told.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage")
    return None if nanoseconds is None else nanoseconds / 1e9


def _memory_bytes(memory: dict[str, Any]) -> int | None:
    """Without the page cache that the kernel would give back, as from the cgroup's files."""
    used: int | None = memory.get("usage")
    if used is None:
        return None
    stat = memory.get("stats") or {}
    cache: int = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return max(0, used - cache)


def _sum(networks: dict[str, Any] | None, name: str) -> int | None:
    if networks is None:
        return None
    counters: list[int] = [card[name] for card in networks.values()]
    return sum(counters)
