"""What can be subscribed to, by name, and by whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents import access, live
from agents.errors import AgentNotFound
from agents.models import Agent
from trinity.models import User


@dataclass(frozen=True, slots=True)
class Topic:
    """A subscription: which messages of a group it takes, or which log it reads."""

    name: str
    group: str
    #: Only messages about this agent; None takes those about all agents that the user sees.
    agent_id: int | None = None
    log_id: int | None = None
    #: The event that tells how things stand, for a new subscriber.
    snapshot: tuple[str, dict[str, Any]] | None = None


#: All the topics of one agent, by what follows its name.
PARTS: dict[str, Callable[[str, Agent], Topic]] = {
    "": lambda name, agent: Topic(name, live.AGENTS, agent.pk),
    ":stats": lambda name, agent: Topic(name, live.STATS, agent.pk),
    ":logs": lambda name, agent: Topic(name, live.log_group(agent.log_id), agent.pk, agent.log_id),
}


def resolve(user: User, name: str) -> Topic | None:
    """Return the topic, None for one that does not exist or that the user may not have."""
    if name == "agents":
        return Topic(name, live.AGENTS)
    kind, _, rest = name.partition(":")
    if kind != "agent":
        return None
    agent_name, colon, part = rest.partition(":")
    try:
        agent = access.visible_agent(user, agent_name)
    except AgentNotFound:
        return None
    make = PARTS.get(colon + part)
    return make(name, agent) if make else None
