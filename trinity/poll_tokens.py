"""Poll tokens: each opens the one operation that it was answered with, and nothing else.

Who asks for an operation without an account gets one. The app that keeps them is named by
``settings.TRINITY_POLL_TOKENS``, because the platform imports none of the apps built on it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

PREFIX = "poll_"


@dataclass(frozen=True, slots=True)
class Poller:
    """Whoever speaks by a poll token. Nobody with an account, so no rule for persons covers him."""

    digest: str
    operation_id: UUID
    #: The address whose signature asked for the operation.
    signer: str
    #: From where he speaks now.
    address: str | None = None

    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True


def issue() -> tuple[str, str]:
    """Return a new token's text, which exists only here, and the hash that is kept of it."""
    text = PREFIX + secrets.token_urlsafe(32)
    return text, _hash(text)


def poller_by(text: str, address: str | None) -> Poller | None:
    """Return who speaks by the text, None for no poll token or one that does not count."""
    return _find(_hash(text), address) if text.startswith(PREFIX) else None


def as_of_now(poller: Poller) -> Poller | None:
    """The same as ``identity.as_of_now`` is for persons. Reads the database."""
    return _find(poller.digest, poller.address)


def _find(digest: str, address: str | None) -> Poller | None:
    found: tuple[UUID, str] | None = import_string(settings.TRINITY_POLL_TOKENS)(digest)
    return Poller(digest, *found, address=address) if found else None


def _hash(text: str) -> str:
    # No slow hash, as with ApiToken: nobody guesses 256 random bits.
    return hashlib.sha256(text.encode()).hexdigest()
