"""Writing the audit trail: one call per verb, whatever its outcome, and one per denial."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from django.utils import timezone

from trinity.errors import Forbidden, TrinityError
from trinity.models import ApiToken, AuditEvent, User
from trinity.poll_tokens import Poller
from trinity.shapes import UNSTORABLE

# Whoever is refused again and again shall not fill the disk: within this time the same refusal
# counts once, and no more than so many of one person and address are recorded.
DENIAL_WINDOW = timedelta(minutes=1)
DENIALS_AT_MOST = 60

E = TypeVar("E", bound=TrinityError)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks for something: a person, an address that signs, or Trinity itself."""

    user: User | None = None
    token: ApiToken | None = None
    address: str | None = None
    #: Of Ethereum: whose signature asked for it, without an account.
    signer: str = ""

    @classmethod
    def of(cls, user: User | Poller) -> "Actor":
        """Return the person with the token and the address that he speaks by now."""
        if isinstance(user, Poller):
            return cls(address=user.address, signer=user.signer)
        return cls(user, user.token, user.address)

    @property
    def name(self) -> str:
        return self.user.get_username() if self.user else self.signer or "system"


SYSTEM = Actor()


def record(
    actor: Actor,
    verb: str,
    object_type: str,
    object_name: str,
    *,
    outcome: AuditEvent.Outcome = AuditEvent.Outcome.DONE,
    detail: str = "",
) -> None:
    AuditEvent.objects.create(
        actor=actor.user,
        actor_name=actor.name,
        token=actor.token,
        token_name=actor.token.name if actor.token else "",
        address=actor.address,
        verb=verb,
        object_type=object_type,
        object_name=_storable(object_name)[:100],
        outcome=outcome,
        detail=_storable(detail)[:500],
    )


def _storable(text: str) -> str:
    """What is refused may be a path or a name that no database takes."""
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


@contextmanager
def recorded(
    actor: Actor, verb: str, object_type: str, object_name: str, *, detail: str = ""
) -> Iterator[None]:
    """Record the verb inside, as done with the detail or, with the error's text, as failed."""
    with failure_recorded(actor, verb, object_type, object_name):
        yield
    record(actor, verb, object_type, object_name, detail=detail)


@contextmanager
def failure_recorded(actor: Actor, verb: str, object_type: str, object_name: str) -> Iterator[None]:
    """For a verb that records itself as done, in one transaction with what it does."""
    try:
        yield
    except Forbidden as error:
        denied(actor, verb, object_type, object_name, error)
        raise
    except TrinityError as error:
        outcome = AuditEvent.Outcome.FAILED
        record(actor, verb, object_type, object_name, outcome=outcome, detail=str(error))
        raise


def denied(actor: Actor, verb: str, object_type: str, object_name: str, error: E) -> E:
    """Record the refusal, unless it was told within the window, and return the error."""
    error.is_recorded = True
    record_denial(actor, verb, object_type, object_name, detail=str(error))
    return error


def record_denial(
    actor: Actor, verb: str, object_type: str, object_name: str, *, detail: str = ""
) -> None:
    recent = AuditEvent.objects.filter(
        outcome=AuditEvent.Outcome.DENIED,
        at__gt=timezone.now() - DENIAL_WINDOW,
        actor=actor.user,
        address=actor.address,
    )
    told = recent.values_list("verb", "object_type", "object_name")[:DENIALS_AT_MOST]
    if (
        len(told) < DENIALS_AT_MOST
        and (
            verb,
            object_type,
            _storable(object_name)[:100],
        )
        not in told
    ):
        outcome = AuditEvent.Outcome.DENIED
        record(actor, verb, object_type, object_name, outcome=outcome, detail=detail)
