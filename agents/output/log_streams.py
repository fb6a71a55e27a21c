"""An agent's log beside Django's handler: as events without an end, and as a file."""

from collections.abc import AsyncGenerator
from typing import Any

from agents import access, events, live
from agents.database import read
from agents.errors import AgentNotFound
from agents.models import Agent
from agents.models.agents import AgentQuerySet
from agents.output import logs
from agents.responses import Receive, Scope, Send, admitted, respond
from trinity.models import User
from trinity.shapes import UNSTORABLE

# A chunk of a log is 64 KiB and little more, so a part of a download is 2 MiB.
DOWNLOAD_CHUNKS = 32


async def log_stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/agents/{name}/logs/stream``; the name stands in the route's arguments."""
    await events.serve(scope, receive, send, AgentLog.find)


class AgentLog:
    """Goes on as long as the agent is there and the viewer may see it."""

    is_over = False

    def __init__(self, agent: Agent) -> None:
        self._agent_id = agent.pk
        self.log_id = agent.log_id
        self.groups = (live.log_group(agent.log_id),)

    @classmethod
    def find(cls, user: User, arguments: dict[str, Any]) -> "AgentLog":
        return cls(_visible(user, arguments["name"]))

    def look(self) -> int:
        return self._look_among(Agent.objects.all()) or 0

    def refresh(self, user: User) -> int | None:
        return self._look_among(Agent.objects.visible_to(user))

    def _look_among(self, agents: AgentQuerySet) -> int | None:
        return agents.filter(pk=self._agent_id).values_list("log__last_seq", flat=True).first()

    def hear(self, message: events.Message) -> None:
        raise AssertionError(f"The groups of a log are told of its growth alone, not {message}")

    def news(self) -> bytes:
        return b""

    def end(self, seq: int) -> bytes:
        raise AssertionError(f"The log of an agent has no end, nor at {seq}")


async def log_download(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/agents/{name}/logs/download``."""
    agent = await admitted(scope, send, _asked_for)
    if agent is not None:
        await send_log(scope, receive, send, agent.log_id, name=agent.name)


async def send_log(scope: Scope, receive: Receive, send: Send, log_id: int, *, name: str) -> None:
    """Answer with the whole log, part by part; the name has nothing that a header quotes."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-disposition", f'attachment; filename="{name}.log"'.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"private"),
    ]
    await respond(receive, send, headers, _text(log_id))


def _asked_for(user: User, scope: Scope) -> Agent:
    return _visible(user, scope["url_route"]["kwargs"]["name"])


def _visible(user: User, name: str) -> Agent:
    if UNSTORABLE.search(name):
        raise AgentNotFound
    return access.visible_agent(user, name)


async def _text(log_id: int) -> AsyncGenerator[bytes]:
    """All that is stored now: a log that grows faster than it is read must not be endless."""
    seq, last_seq = 0, await read(logs.last_seq, log_id)
    while seq < last_seq:
        text, seq = await read(_part, log_id, seq, last_seq)
        yield text


def _part(log_id: int, seq: int, last_seq: int) -> tuple[bytes, int]:
    # Not through the cache of the live viewers: one download would drive out all they share.
    chunks = logs.chunks_after(log_id, seq, limit=DOWNLOAD_CHUNKS)
    lines = "".join(f"{line}\n" for chunk in chunks for line in chunk.after(seq).lines)
    return lines.encode(), chunks[-1].last_seq if chunks else last_seq
