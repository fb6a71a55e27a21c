"""What clients are told of agents: the contract's objects, from recorded state alone."""

from typing import Any

from agents.models import Agent, user_email
from agents.stats import as_json
from trinity.api import json_time
from trinity.models import User


def agent_object(agent: Agent, user: User) -> dict[str, Any]:
    """``Agent`` as the API answers it; the agent comes from ``for_list``."""
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
        "resources": {"cpu": agent.cpu, "memory": agent.memory},
        "container_id": agent.container_id,
        "template": agent.template,
        "image": agent.image,
        "owner": agent.owner.get_username(),
        "is_owner": is_owner,
        "is_shared": _is_shared(agent, user),
        "is_system": agent.is_system,
        "github_repo": agent.github_repo or None,
        "autonomy_enabled": agent.autonomy_enabled,
        "memory_limit": agent.memory_limit,
        "cpu_limit": agent.cpu_limit,
        "base_image_version": "1",
    }


def _is_shared(agent: Agent, user: User) -> bool:
    """Shared with the caller who is neither its owner nor an administrator."""
    shared: bool = agent.shared_with_user  # type: ignore[attr-defined]  # annotated by for_list
    return shared and agent.owner_id != user.pk and not user.is_superuser


def agent_detail(agent: Agent, user: User) -> dict[str, Any]:
    owns = Agent.objects.owned_by(user).contains(agent)
    return {
        **agent_object(agent, user),
        "can_share": owns,
        "can_delete": owns and not agent.is_system,
        "can_operate": Agent.objects.operable_by(user).contains(agent),
        "shares": [_share_object(agent, share) for share in agent.shares.all()] if owns else [],
    }


def _share_object(agent: Agent, share: Any) -> dict[str, Any]:
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
