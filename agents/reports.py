"""What clients are told of agents: the contract's objects, from recorded state alone."""

from datetime import datetime
from typing import Any, NamedTuple

from agents import recreation
from agents.answers.agents import AgentDetail, AgentObject, ShareObject
from agents.answers.figures import ListedAgent, StatsObject
from agents.figures.stats import as_json
from agents.models import Agent, AgentQuerySet, Share
from agents.runtime import Network
from trinity.api import json_time
from trinity.models import User

# All that agent_object shows. A list reads these alone: to make whole objects of a thousand
# agents, their owners and their hosts takes longer than everything else about the request.
COLUMNS = (
    "name",
    "description",
    "tags",
    "type",
    "status",
    "status_reason",
    "created_at",
    "memory_limit",
    "template_memory",
    "cpu_limit",
    "template_cpu",
    "container_id",
    "template",
    "image",
    "owner_id",
    "owner__username",
    "shared_with_user",
    "is_system",
    "git__repository",
    "autonomy_enabled",
)


class _Sample(NamedTuple):
    """The columns of ``Stats`` that a list shows; all null before the first sample."""

    sampled_at: datetime | None
    cpu_percent: float | None
    memory_used_bytes: int | None
    memory_limit_bytes: int | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None


def agent_objects(agents: AgentQuerySet, user: User) -> list[AgentObject]:
    """``agent_object`` of each; the agents come from ``for_list``."""
    rows = agents.values_list(*COLUMNS, named=True)
    return [_object(row, row.owner__username, row.git__repository, user) for row in rows]


def listed_with_stats(agents: AgentQuerySet, user: User) -> list[ListedAgent]:
    """``agent_object`` of each and its ``stats_object``, from columns alone likewise."""
    columns = (*COLUMNS, "started_at", *(f"stats__{name}" for name in _Sample._fields))
    return [
        {
            **_object(row, row.owner__username, row.git__repository, user),
            "stats": _stats_object(row, _Sample._make(row[-len(_Sample._fields) :])),
        }
        for row in agents.values_list(*columns, named=True)
    ]


def agent_object(agent: Agent, user: User) -> AgentObject:
    """``Agent`` as the API answers it; the agent comes from ``for_list``."""
    git = getattr(agent, "git", None)
    return _object(agent, agent.owner.get_username(), git.repository if git else None, user)


def _object(agent: Any, owner: str, repository: str | None, user: User) -> AgentObject:
    """``agent`` is an Agent or the row of its columns."""
    is_owner = agent.owner_id == user.pk
    return {
        "name": agent.name,
        "description": agent.description,
        "tags": agent.tags,
        "type": agent.type,
        "status": agent.status,
        "status_reason": agent.status_reason,
        "port": None,
        "created": json_time(agent.created_at),
        "resources": {
            "cpu": agent.cpu_limit or agent.template_cpu,
            "memory": agent.memory_limit or agent.template_memory,
        },
        "container_id": agent.container_id,
        "template": agent.template,
        "image": agent.image,
        "owner": owner,
        "is_owner": is_owner,
        # With the caller who is neither its owner nor an administrator.
        "is_shared": agent.shared_with_user and not is_owner and not user.is_superuser,
        "is_system": agent.is_system,
        "github_repo": repository,
        "autonomy_enabled": agent.autonomy_enabled,
        "memory_limit": agent.memory_limit,
        "cpu_limit": agent.cpu_limit,
        "base_image_version": "1",
    }


def agent_detail(agent: Agent, user: User) -> AgentDetail:
    owns = Agent.objects.owned_by(user).contains(agent)
    return {
        **agent_object(agent, user),
        "network": agent.network,
        "network_notice": agent.host.network_notice if agent.network != Network.NONE else "",
        "can_share": owns,
        "can_delete": owns and not agent.is_system,
        "can_operate": Agent.objects.operable_by(user).contains(agent),
        "shares": share_objects(agent) if owns else [],
        # Its next start gives it a new container, because something else would not take effect.
        "recreate_needed": recreation.is_needed(agent),
    }


def share_objects(agent: Agent) -> list[ShareObject]:
    """``share_object`` of each that counts, newest first."""
    shares = Share.objects.unexpired().filter(agent=agent).select_related("shared_by")
    return [share_object(agent, share) for share in shares.order_by("-created_at", "-pk")]


def share_object(agent: Agent, share: Share) -> ShareObject:
    return {
        "id": share.pk,
        "agent_name": agent.name,
        "shared_with_email": share.email,
        "shared_by_id": share.shared_by_id,
        "shared_by_email": share.shared_by.email if share.shared_by else None,
        "role": share.role,
        "created_at": json_time(share.created_at),
    }


def stats_object(agent: Agent) -> StatsObject | None:
    """The last sample of a running agent; None before the first."""
    return _stats_object(agent, getattr(agent, "stats", None))


def _stats_object(agent: Any, stats: Any) -> StatsObject | None:
    """``agent`` and ``stats`` are objects, or rows of their columns."""
    if stats is None or stats.sampled_at is None or agent.status != Agent.Status.RUNNING:
        return None
    uptime = None
    if agent.started_at:
        uptime = round((stats.sampled_at - agent.started_at).total_seconds(), 1)
    return {**as_json(stats), "uptime_seconds": uptime, "status": agent.status}
