"""Makes an agent again of what was kept of a deleted one."""

from typing import Any

from django.db import IntegrityError, transaction

from agents import lifecycle, live
from agents.errors import NameTaken, NotRestorable
from agents.models import (
    Agent,
    EnvironmentValue,
    GitConfig,
    Log,
    RetainedWorkspace,
    clean_name,
)
from agents.retention import FIELDS
from trinity.audit import Actor, recorded
from trinity.encryption import Unreadable, seal, unseal
from trinity.models import User


def restore(
    retained: RetainedWorkspace, actor: Actor, *, name: str = "", owner: User | None = None
) -> Agent:
    """Make the agent again, under its old name and owner unless others are given, and start it.

    Raises NotRestorable, InvalidName, NameTaken, ImageNotAllowed, EngineUnavailable and
    ReportOnly, after which what is kept is kept still; and what a start raises, after which
    the agent is there, with the reason at its status.
    """
    name = clean_name(name or retained.name)
    owner = owner or retained.owner
    with recorded(actor, "restore", "agent", name, detail=f"from {retained}"):
        if owner is None:
            raise NotRestorable("Its owner has no account any more: choose another")
        lifecycle.check_image(retained.record["image"])
        lifecycle.check_engine()
        agent = _insert(retained, name, owner)
    live.announce_from_thread(agent, "agent_created")
    lifecycle.start(agent, actor)
    return agent


def _insert(retained: RetainedWorkspace, name: str, owner: User) -> Agent:
    """Turn the one row into the other: the volume and the log belong to one of them always."""
    if Agent.objects.filter(uid=retained.uid).exists():
        raise NotRestorable(f"{retained.name} is still being deleted: try again in a minute")
    fields = {field: retained.record[field] for field in FIELDS if field in retained.record}
    # What ran before was of that generation, and the next container is of another.
    fields["generation"] = retained.record["generation"] + 1
    try:
        with transaction.atomic():
            log = _taken_log(retained)
            agent = Agent.objects.create(
                name=name,
                uid=retained.uid,
                owner=owner,
                host=retained.host,
                log=log,
                status=Agent.Status.STOPPED,
                **fields,
            )
            _give_back(agent, retained)
    except IntegrityError as error:
        raise NameTaken("Agent already exists") from error
    return agent


def _taken_log(retained: RetainedWorkspace) -> Log:
    """Take the row away, which only one can, and before it is due; return the log."""
    log = retained.log
    taken, _ = RetainedWorkspace.objects.restorable().filter(pk=retained.pk).delete()
    if not taken:
        raise NotRestorable(f"What was kept of {retained.name} is gone")
    return log or Log.objects.create()


def _give_back(agent: Agent, retained: RetainedWorkspace) -> None:
    git: dict[str, Any] | None = retained.record.get("git")
    if git:
        GitConfig.objects.create(agent=agent, **git)
    for name, is_secret, value in _environment(retained):
        text = seal(value).decode() if is_secret else value
        EnvironmentValue.objects.create(agent=agent, name=name, is_secret=is_secret, value=text)


def _environment(retained: RetainedWorkspace) -> list[list[Any]]:
    if not retained.environment:
        return []
    try:
        values: list[list[Any]] = unseal(retained.environment.encode())
    except Unreadable as error:
        raise NotRestorable(
            "No encryption key opens its environment: put the key that sealed it behind the others"
        ) from error
    return values
