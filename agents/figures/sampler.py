"""Samples all running containers every two seconds, at once, and tells who watches."""

import asyncio

from django.utils import timezone

from agents import engine, live
from agents.database import Writer
from agents.figures import history, stats
from agents.models import Agent, Stats
from agents.runtime import Container, Usage, get_runtime

INTERVAL_SECONDS = float(history.FINEST_SECONDS)
TIDY_SECONDS = 60.0


class Sampler:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._running: dict[str, tuple[Agent, Container]] = {}
        self._before: dict[str, Usage] = {}
        self._tidy_at = 0.0

    def saw(self, agent: Agent, container: Container | None) -> None:
        """Take note of what runs; the container comes with the pid that its figures hang on."""
        if container is not None and container.pid:
            self._running[container.id] = (agent, container)
        else:
            self._running.pop(agent.container_id, None)
            self._before.pop(agent.container_id, None)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            await self.sample()
            if loop.time() >= self._tidy_at:
                self._tidy_at = loop.time() + TIDY_SECONDS
                await self._writer.write(lambda: history.tidy(timezone.now()))
            # By the clock and not after a pause: a slow round must not shift the others.
            next_at = max(next_at + INTERVAL_SECONDS, loop.time())
            await asyncio.sleep(next_at - loop.time())

    async def sample(self) -> None:
        running = dict(self._running)
        containers = [container for _, container in running.values()]
        usage = await engine.ask(get_runtime().usage, containers)
        at = timezone.now()
        rows = [
            (agent, stats.figures(agent.pk, usage[key], self._before.get(key), at))
            for key, (agent, _) in running.items()
            if key in usage
        ]
        self._before = usage
        for ended in running.keys() - usage.keys():
            self._running.pop(ended, None)
        if rows:
            await self._writer.write(lambda: _store([row for _, row in rows]))
            told = [(agent.pk, stats.as_event(agent, row)) for agent, row in rows]
            await live.send(live.STATS, {"type": "agent.stats", "stats": told})


FIGURES = [
    "sampled_at",
    "cpu_percent",
    "memory_used_bytes",
    "memory_limit_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
]


def _store(rows: list[Stats]) -> None:
    # An agent may have been deleted since it was sampled.
    present = set(
        Agent.objects.filter(pk__in=[row.agent_id for row in rows]).values_list("pk", flat=True)
    )
    rows = [row for row in rows if row.agent_id in present]
    history.record(rows)
    Stats.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["agent"],
        update_fields=FIGURES,
    )
