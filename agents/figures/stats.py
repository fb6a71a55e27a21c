"""From two samples of a container's counters to the figures that people read (pure)."""

from datetime import datetime
from typing import Any

from agents.answers.figures import LastFigures
from agents.models import Agent, Stats
from agents.runtime import Usage
from trinity.api import json_time


def figures(agent_id: int, now: Usage, before: Usage | None, at: datetime) -> Stats:
    return Stats(
        agent_id=agent_id,
        sampled_at=at,
        cpu_percent=_cpu_percent(now, before),
        memory_used_bytes=now.memory_bytes,
        memory_limit_bytes=now.memory_limit_bytes,
        network_rx_bytes=now.network_rx_bytes,
        network_tx_bytes=now.network_tx_bytes,
    )


def _cpu_percent(now: Usage, before: Usage | None) -> float | None:
    """Percent of one core; null for the first sample, which has nothing to compare with."""
    if before is None or now.cpu_seconds is None or before.cpu_seconds is None:
        return None
    elapsed = now.at - before.at
    # Counters begin again when a container does.
    if elapsed <= 0 or now.cpu_seconds < before.cpu_seconds:
        return None
    return round((now.cpu_seconds - before.cpu_seconds) / elapsed * 100, 2)


def memory_percent(stats: Stats) -> float | None:
    if stats.memory_used_bytes is None or not stats.memory_limit_bytes:
        return None
    return round(stats.memory_used_bytes / stats.memory_limit_bytes * 100, 2)


def as_json(stats: Stats) -> LastFigures:
    return {
        "cpu_percent": stats.cpu_percent,
        "memory_used_bytes": stats.memory_used_bytes,
        "memory_limit_bytes": stats.memory_limit_bytes,
        "memory_percent": memory_percent(stats),
        "network_rx_bytes": stats.network_rx_bytes,
        "network_tx_bytes": stats.network_tx_bytes,
        "sampled_at": json_time(stats.sampled_at),
    }


def as_event(agent: Agent, stats: Stats) -> dict[str, Any]:
    return {
        "name": agent.name,
        "cpu": stats.cpu_percent,
        "memory": stats.memory_used_bytes,
        **as_json(stats),
    }
