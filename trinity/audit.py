"""Writing the audit trail: one call per verb, whatever its outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from trinity.errors import TrinityError
from trinity.models import ApiToken, AuditEvent, User


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever asks for something: a person by a session or token, or Trinity itself."""

    user: User | None = None
    token: ApiToken | None = None
    address: str | None = None

    @property
    def name(self) -> str:
        return self.user.get_username() if self.user else "system"


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
        address=actor.address,
        verb=verb,
        object_type=object_type,
        object_name=object_name[:100],
        outcome=outcome,
        detail=detail[:500],
    )


@contextmanager
def recorded(
    actor: Actor, verb: str, object_type: str, object_name: str, *, detail: str = ""
) -> Iterator[None]:
    """Record the verb inside, as done with the detail or, with the error's text, as failed."""
    try:
        yield
    except TrinityError as error:
        outcome = AuditEvent.Outcome.FAILED
        record(actor, verb, object_type, object_name, outcome=outcome, detail=str(error))
        raise
    record(actor, verb, object_type, object_name, detail=detail)
