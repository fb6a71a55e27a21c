"""Telling viewers and the supervisor that something happened, through the channel layer.

A message that is lost costs only time: whoever waits looks again by a timer.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from agents.database import read
from agents.models import Agent
from trinity.api import json_time

logger = logging.getLogger(__name__)

SUPERVISOR = "supervisor"
AGENTS = "agents"
STATS = "stats"
#: The type of the messages of a log's group.
GREW = "log.grew"


def log_group(log_id: int) -> str:
    return f"log.{log_id}"


async def send(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    try:
        await layer.group_send(group, message)
    except (OSError, RedisError) as error:
        logger.warning("Viewers are told late, because the channel layer fails: %s", error)


def send_from_thread(group: str, message: dict[str, Any]) -> None:
    _from_thread(send(group, message))


async def announce(agent_id: int, event: str, data: Mapping[str, Any]) -> None:
    """Send an event about an agent; each viewer is told of those that he may see."""
    await send(AGENTS, {"type": "agent.event", "agent": agent_id, "event": event, "data": data})


async def announce_status(agent: Agent) -> None:
    # In a thread: the agent may have dropped its host with a refresh, and loads it again.
    await announce(agent.pk, "agent_status", await read(status_of, agent))


def announce_from_thread(agent: Agent, event: str) -> None:
    _from_thread(announce(agent.pk, event, status_of(agent)))


async def announce_growth(log_id: int, last_seq: int) -> None:
    await send(log_group(log_id), {"type": GREW, "log": log_id, "seq": last_seq})


def announce_growth_from_thread(log_id: int, last_seq: int) -> None:
    _from_thread(announce_growth(log_id, last_seq))


def announce_activity_from_thread(agent_id: int, activity: Mapping[str, Any]) -> None:
    _from_thread(announce(agent_id, "activity", activity))


def wake_supervisor() -> None:
    _from_thread(send(SUPERVISOR, {"type": "wake"}))


_loop: asyncio.AbstractEventLoop | None = None


def use_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Name the loop that this process's consumers run on."""
    global _loop  # noqa: PLW0603  # one loop a process, known only once it runs
    _loop = loop


def _from_thread(sending: Coroutine[Any, Any, None]) -> None:
    # On the consumers' own loop: the queues of the in-memory layer are not safe across loops,
    # and async_to_sync would make a loop of its own in a thread that Django did not start.
    if _loop is not None and _loop.is_running():
        asyncio.run_coroutine_threadsafe(sending, _loop)
    else:
        async_to_sync(_awaited)(sending)


async def _awaited(sending: Coroutine[Any, Any, None]) -> None:
    await sending


def status_of(agent: Agent) -> dict[str, Any]:
    away_since = agent.host.away_since
    return {
        "name": agent.name,
        "status": agent.status,
        "status_reason": agent.status_reason,
        "engine_away_since": json_time(away_since) if away_since else None,
    }
