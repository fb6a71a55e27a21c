"""Sharing an agent with the person who has an e-mail address, and withdrawing it.

A share whose time is over counts as none: it is not found, and a new one takes its place.
"""

from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from agents import live
from agents.models import Agent, Share
from trinity.audit import Actor, recorded
from trinity.errors import Conflict, Invalid, NotFound


class SharedWithOneself(Invalid):
    code = "shared_with_oneself"


class InvalidExpiry(Invalid):
    code = "invalid_expiry"


class AlreadyShared(Conflict):
    code = "already_shared"


class NotShared(NotFound):
    code = "not_shared"


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
        if actor.user and actor.user.email == email:
            raise SharedWithOneself("Cannot share an agent with yourself")
        if expires_at and expires_at <= timezone.now():
            raise InvalidExpiry("The end of a share must lie in the future")
        made = _insert(
            Share(agent=agent, email=email, role=role, expires_at=expires_at, shared_by=actor.user)
        )
    live.announce_from_thread(agent, "agent_shared")
    return made


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


def unshare(agent: Agent, actor: Actor, email: str) -> None:
    """Withdraw the access; open sockets and streams of the person end when they look again.

    Raises NotShared.
    """
    email = email.lower()
    with recorded(actor, "unshare", "agent", agent.name, detail=email):
        withdrawn, _ = Share.objects.unexpired().filter(agent=agent, email=email).delete()
        if not withdrawn:
            raise NotShared(f"No sharing found for {email}")
    live.announce_from_thread(agent, "agent_unshared")
