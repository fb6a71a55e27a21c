"""What clients are told of agents: the contract's objects, from recorded state alone."""

from typing import Any

from agents.models import Agent, AgentQuerySet, Share, user_email
from agents.stats import as_json
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
    "github_repo",
    "autonomy_enabled",
)


def agent_objects(agents: AgentQuerySet, user: User) -> list[dict[str, Any]]:
    """``agent_object`` of each; the agents come from ``for_list``."""
    rows = agents.values_list(*COLUMNS, named=True)
    return [_object(row, row.owner__username, user) for row in rows]


def agent_object(agent: Agent, user: User) -> dict[str, Any]:
    """``Agent`` as the API answers it; the agent comes from ``for_list``."""
    return _object(agent, agent.owner.get_username(), user)


def _object(agent: Any, owner: str, user: User) -> dict[str, Any]:
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
        "github_repo": agent.github_repo or None,
        "autonomy_enabled": agent.autonomy_enabled,
        "memory_limit": agent.memory_limit,
        "cpu_limit": agent.cpu_limit,
        "base_image_version": "1",
    }


def agent_detail(agent: Agent, user: User) -> dict[str, Any]:
    owns = Agent.objects.owned_by(user).contains(agent)
    return {
        **agent_object(agent, user),
        "can_share": owns,
        "can_delete": owns and not agent.is_system,
        "can_operate": Agent.objects.operable_by(user).contains(agent),
        "shares": share_objects(agent) if owns else [],
    }


def share_objects(agent: Agent) -> list[dict[str, Any]]:
    """``share_object`` of each that counts, newest first."""
    shares = Share.objects.unexpired().filter(agent=agent).select_related("shared_by")
    return [share_object(agent, share) for share in shares.order_by("-created_at", "-pk")]


def share_object(agent: Agent, share: Share) -> dict[str, Any]:
    return {
        "id": share.pk,
        "agent_name": agent.name,
        "shared_with_email": share.email,
        "shared_by_id": share.shared_by_id,
        "shared_by_email": user_email(share.shared_by) if share.shared_by else None,
        "role": share.role,
        "created_at": json_time(share.created_at),
    }


def stats_object(agent: Agent) -> dict[str, Any] | None:
    """The last sample of a running agent; None before the first."""
    stats = getattr(agent, "stats", None)
    if stats is None or agent.status != Agent.Status.RUNNING:
        return None
    uptime = None
    if agent.started_at:
        uptime = round((stats.sampled_at - agent.started_at).total_seconds(), 1)
    return {**as_json(stats), "uptime_seconds": uptime, "status": agent.status}
