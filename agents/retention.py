"""What is kept of a deleted agent, and its end; ``agents.restoring`` makes an agent of it again."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from agents import containers, control
from agents.errors import EngineRefused
from agents.models import Agent, EnvironmentValue, Host, Log, RetainedWorkspace
from agents.runtime import get_runtime
from trinity.audit import SYSTEM, Actor, record, recorded
from trinity.encryption import Unreadable, seal, unseal

logger = logging.getLogger(__name__)

# Shares are not among them: access is given anew. Nor is what belongs to a container.
FIELDS = (
    *("type", "description", "tags", "template", "image", "command", "prompt_command"),
    *("memory_limit", "cpu_limit", "disk_limit"),
    *("template_memory", "template_cpu", "template_disk"),
    *("network", "autonomy_enabled", "generation"),
)
GIT_FIELDS = ("repository", "working_branch", "instance_id", "sync_enabled")


@dataclass(frozen=True, slots=True)
class Keep:
    """What becomes of a deleted agent's own: kept for a while, or removed with it."""

    workspace: bool = True
    log: bool = True

    def __str__(self) -> str:
        kept = [name for name in ("workspace", "log") if getattr(self, name)]
        return f"keeping {' and '.join(kept) or 'nothing'}"


KEEP_ALL = Keep()


def retain(agent: Agent, actor: Actor, keep: Keep) -> None:
    """Record what is to be left when the agent is erased; in one transaction with that intent."""
    days = settings.TRINITY_KEEP_WORKSPACES_DAYS
    if not days or keep == Keep(workspace=False, log=False):
        return
    RetainedWorkspace.objects.get_or_create(
        uid=agent.uid,
        defaults={
            "name": agent.name,
            "owner": agent.owner,
            "host": agent.host,
            "has_workspace": keep.workspace,
            "log": agent.log if keep.log else None,
            "record": _record_of(agent),
            "environment": _environment_of(agent),
            "deleted_by": actor.user,
            "purge_at": Now() + timedelta(days=days),
        },
    )


def _record_of(agent: Agent) -> dict[str, Any]:
    record = {name: getattr(agent, name) for name in FIELDS}
    if git := getattr(agent, "git", None):
        record["git"] = {name: getattr(git, name) for name in GIT_FIELDS}
    return record


def _environment_of(agent: Agent) -> str:
    values = []
    for each in EnvironmentValue.objects.filter(agent=agent):
        # One that no key opens any more would be of no use to the restored agent either.
        with suppress(Unreadable):
            value = unseal(each.value.encode()) if each.is_secret else each.value
            values.append([each.name, each.is_secret, value])
    return seal(values).decode() if values else ""


def of(agent: Agent) -> RetainedWorkspace | None:
    return RetainedWorkspace.objects.filter(uid=agent.uid).first()


def purge_now(retained: RetainedWorkspace, actor: Actor) -> None:
    """Remove what is kept before its time. Raises EngineUnavailable, EngineRefused, ReportOnly."""
    with recorded(actor, "purge", "workspace", retained.name):
        control.check(retained.host)
        get_runtime().check()
        # From now on it cannot be restored; should this process end here, the janitor goes on.
        RetainedWorkspace.objects.filter(pk=retained.pk).update(purge_at=Now())
        _purge(retained)


def purge_due(host: Host) -> int:
    """Remove what has been kept long enough; return how many. Safe to repeat."""
    erasing = Agent.objects.filter(uid=OuterRef("uid"))
    purged = 0
    for retained in RetainedWorkspace.objects.due().filter(~Exists(erasing), host=host):
        try:
            _purge(retained)
        except EngineRefused as error:
            # One volume that cannot be removed keeps no other from being.
            logger.warning("The workspace of %s is not purged yet: %s", retained.name, error)
        else:
            purged += 1
            record(SYSTEM, "purge", "workspace", retained.name)
    return purged


def _purge(retained: RetainedWorkspace) -> None:
    if retained.has_workspace:
        get_runtime().remove_volume(containers.volume_name(retained, "workspace"))
    with transaction.atomic():
        retained.delete()
        if retained.log_id:
            Log.objects.filter(pk=retained.log_id).delete()
