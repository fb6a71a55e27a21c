"""Whom an agent belongs to and is shared with: sharing, changing a share, withdrawing it, giving
the agent away.

A share whose time is over counts as none: it is not found, and a new one takes its place.
"""

from datetime import datetime
from functools import partial

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from agents import live
from agents.errors import AgentNotFound
from agents.models import Agent, Share
from trinity.audit import Actor, recorded
from trinity.errors import Conflict, Invalid, NotFound
from trinity.models import User


class SharedWithOneself(Invalid):
    code = "shared_with_oneself"


class InvalidExpiry(Invalid):
    code = "invalid_expiry"


class AlreadyShared(Conflict):
    code = "already_shared"


class NotShared(NotFound):
    code = "not_shared"


class InvalidOwner(Invalid):
    code = "invalid_owner"


def share(
    agent: Agent,
    actor: Actor,
    email: str,
    *,
    role: str = Share.Role.VIEWER,
    expires_at: datetime | None = None,
) -> Share:
    """Give a person access, also one who has no account yet.

    Raises SharedWithOneself, InvalidExpiry, AlreadyShared.
    """
    email = email.lower()
    with recorded(actor, "share", "agent", agent.name, detail=f"{email} as {role}"):
        check(agent, actor, email, expires_at)
        made = _insert(
            Share(agent=agent, email=email, role=role, expires_at=expires_at, shared_by=actor.user)
        )
    _announce(agent, "agent_shared")
    return made


def check(agent: Agent, actor: Actor, email: str, expires_at: datetime | None) -> None:
    """Raise what ``share`` would; another may still come first."""
    email = email.lower()
    if actor.user and actor.user.email == email:
        raise SharedWithOneself("Cannot share an agent with yourself")
    check_end(expires_at)
    if Share.objects.unexpired().filter(agent=agent, email=email).exists():
        raise AlreadyShared(f"Agent is already shared with {email}")


def check_end(expires_at: datetime | None) -> None:
    if expires_at and expires_at <= timezone.now():
        raise InvalidExpiry("The end of a share must lie in the future")


def _insert(new: Share) -> Share:
    """Add the share in place of one that has expired."""
    expired = Share.objects.filter(agent=new.agent, email=new.email, expires_at__lte=Now())
    try:
        # Both or neither: of two that replace the same one at once, the constraint lets one win.
        with transaction.atomic():
            expired.delete()
            new.save()
    except IntegrityError as error:
        raise AlreadyShared(f"Agent is already shared with {new.email}") from error
    return new


def change(
    agent: Agent, actor: Actor, email: str, *, role: str, expires_at: datetime | None
) -> None:
    """Give the person another role or another end. Raises InvalidExpiry, NotShared."""
    with recorded(actor, "change_share", "agent", agent.name, detail=f"{email} as {role}"):
        check_end(expires_at)
        shares = Share.objects.unexpired().filter(agent=agent, email=email)
        if not shares.update(role=role, expires_at=expires_at):
            raise NotShared(f"No sharing found for {email}")
    _announce(agent, "agent_shared")


def unshare(agent: Agent, actor: Actor, email: str) -> None:
    """Withdraw the access; open sockets and streams of the person end when they look again.

    Raises NotShared.
    """
    email = email.lower()
    with recorded(actor, "unshare", "agent", agent.name, detail=email):
        withdrawn, _ = Share.objects.unexpired().filter(agent=agent, email=email).delete()
        if not withdrawn:
            raise NotShared(f"No sharing found for {email}")
    _announce(agent, "agent_unshared")


def transfer(agent: Agent, actor: Actor, new_owner: User) -> None:
    """Make another person the owner; who owned it until now has no access any more.

    Raises InvalidOwner, AgentNotFound.
    """
    detail = f"from {agent.owner.get_username()} to {new_owner.get_username()}"
    with recorded(actor, "transfer", "agent", agent.name, detail=detail):
        if not new_owner.is_active:
            raise InvalidOwner(f"{new_owner.get_username()} is disabled: choose somebody active")
        if new_owner == agent.owner:
            raise InvalidOwner(f"{new_owner.get_username()} owns it already")
        with transaction.atomic():
            # From whom it was seen to belong to: of two transfers at once, one is made.
            held = Agent.objects.present().filter(pk=agent.pk, owner=agent.owner)
            if not held.update(owner=new_owner):
                raise AgentNotFound
            # An owner needs no share, and must not find himself in the list of them.
            Share.objects.filter(agent=agent, email=new_owner.email).delete()
        agent.owner = new_owner
    _announce(agent, "agent_shared")


def _announce(agent: Agent, event: str) -> None:
    # The admin does more in the same transaction.
    transaction.on_commit(partial(live.announce_from_thread, agent, event))
