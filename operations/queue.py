"""Which operations may begin: limits, turns, and how long the line may get.

Places are given by the holder of the host's lease alone, and recorded: what waits and what runs
is read from the database each time, so that another supervisor goes on where this one ends.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from agents.models import Activity, Agent, Host
from operations import endings
from operations.errors import QueueFull
from operations.models import Operation, OperationQuerySet
from trinity.audit import Actor
from trinity.models import User

Kind = Literal["agent", "user", "host", "isolated"]
#: Who asks: the number of a user, or the address that signed; empty for one whose account is gone.
Party = int | str
Key = tuple[Kind, Party | None]
Limits = Mapping[Kind, int]

Status, Error = Operation.Status, Operation.Error

NEVER = datetime.min.replace(tzinfo=UTC)
# How long an operation that needs the engine waits for one that is away.
ENGINE_PATIENCE = timedelta(minutes=5)
ENGINE_AWAY = "The container engine was away for five minutes: ask again when it is back"
# What is asked of each: first what tells whose it is and whether it waits, then a Waiting's fields.
_STANDING = (
    *("requester_id", "signer", "admitted_at", "status", "cancel_requested_at"),
    *("pk", "agent_id", "is_isolated", "created_at"),
    *("agent__status", "agent__verb", "agent__status_reason", "agent__host__away_since"),
)
UP = (Agent.Status.RUNNING, Agent.Status.STARTING)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operation in the line."""

    id: UUID
    agent: int
    party: Party
    is_isolated: bool
    created_at: datetime
    agent_status: str = Agent.Status.RUNNING
    agent_verb: str = ""
    agent_reason: str = ""
    engine_away_since: datetime | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        return _keys(self.agent, self.party, is_isolated=self.is_isolated)


@dataclass(frozen=True, slots=True)
class Placed:
    """An operation that takes up a place."""

    id: UUID
    keys: tuple[Key, ...]
    is_canceled: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """An operation that can never begin, and what ended with it."""

    operation: Operation
    activities: list[Activity]


def limits() -> Limits:
    return {
        "agent": settings.TRINITY_OPERATIONS_PER_AGENT,
        "user": settings.TRINITY_OPERATIONS_PER_USER,
        "host": settings.TRINITY_OPERATIONS_PER_HOST,
        "isolated": settings.TRINITY_ISOLATED_PER_HOST,
    }


def in_turn(waiting: Iterable[Waiting], served: Mapping[Party, datetime]) -> list[Waiting]:
    """Order by rounds: in each everybody's oldest, first of those who were served longest ago."""
    rounds: Counter[Party] = Counter()
    ranked = []
    for each in sorted(waiting, key=lambda each: (each.created_at, each.id)):
        rounds[each.party] += 1
        turn = (rounds[each.party], served.get(each.party, NEVER), each.created_at, each.id)
        ranked.append((turn, each))
    return [each for _, each in sorted(ranked, key=lambda pair: pair[0])]


def choose(line: Iterable[Waiting], taken: Mapping[Key, int], at_most: Limits) -> list[Waiting]:
    """Return those that may begin; who has to wait for his own limit holds up nobody else."""
    taken = Counter(taken)
    chosen = []
    for each in line:
        if all(taken[key] < at_most[key[0]] for key in each.keys):
            taken.update(each.keys)
            chosen.append(each)
    return chosen


def standing(host_id: int) -> tuple[list[Waiting], list[Placed]]:
    """Return who waits and who has a place, in one query; bounded by how many of each may be.

    Of a host that is only looked at, nothing waits and nothing is driven.
    """
    rows = _acted_on(host_id).unfinished().order_by()
    waiting, placed = [], []
    for row in rows.values_list(*_STANDING):
        user, signer, admitted_at, status, canceled_at, operation, agent, is_isolated, *others = row
        party = _party(user, signer)
        if status == Status.STARTING and admitted_at is None:
            waiting.append(Waiting(operation, agent, party, is_isolated, *others))
        else:
            keys = _keys(agent, party, is_isolated=is_isolated)
            placed.append(Placed(operation, keys, canceled_at is not None))
    return waiting, placed


def admit(host_id: int) -> tuple[list[Ended], list[Placed]]:
    """Give places to those whose turn it is, and end those that can never begin.

    Return these, and all that have a place now. For a transaction that only the holder of the
    lease can commit.
    """
    waiting, placed = standing(host_id)
    hopeless = {each.id: why for each in waiting if (why := _why_never(each))}
    ready = [each for each in waiting if each.id not in hopeless and _can_begin(each)]
    taken = Counter(key for each in placed for key in each.keys)
    for each in choose(_line(host_id, ready), taken, limits()):
        if Operation(pk=each.id).admit():
            placed.append(Placed(each.id, each.keys, is_canceled=False))
    ended = [_end(operation_id, *why) for operation_id, why in hopeless.items()]
    return [each for each in ended if each], placed


def positions(operations: Sequence[Operation]) -> dict[UUID, int]:
    """The places in line, from 1 on, of those that wait; no query when none does."""
    hosts = {each.agent.host_id for each in operations if each.is_waiting}
    found: dict[UUID, int] = {}
    for host_id in hosts:
        line = _line(host_id, standing(host_id)[0])
        found |= {each.id: place for place, each in enumerate(line, 1)}
    return found


def check_room(host: Host, actor: Actor) -> None:
    """Raise QueueFull when no more may wait.

    A bound, not an exact number: requests that come at the same moment may pass it together.
    """
    line = Operation.objects.waiting().filter(agent__host=host)
    waiting, per_user = line.count(), settings.TRINITY_QUEUE_PER_USER
    mine = line.filter(requester=actor.user, signer=actor.signer)
    # Asked only where so many wait at all: as a rule nobody does.
    if waiting >= per_user and mine.count() >= per_user:
        raise QueueFull("So many of your operations wait already that no more are taken")
    if waiting >= settings.TRINITY_QUEUE_PER_HOST:
        raise QueueFull("So many operations wait already that no more are taken")


# What is recorded


def _acted_on(host_id: int) -> OperationQuerySet:
    return Operation.objects.filter(agent__host=host_id, agent__host__report_only_since=None)


def _party(user: int | None, signer: str) -> Party:
    return signer if user is None else user


def _line(host_id: int, waiting: Sequence[Waiting]) -> list[Waiting]:
    parties = {each.party for each in waiting}
    return in_turn(waiting, _served(host_id, parties) if len(parties) > 1 else {})


def _served(host_id: int, parties: set[Party]) -> dict[Party, datetime]:
    """When each last got a place: one look into an index for each of them."""
    admitted = Operation.objects.filter(admitted_at__isnull=False).order_by("-admitted_at")
    users = [party for party in parties if isinstance(party, int)]
    of_user = admitted.filter(requester=OuterRef("pk")).values("admitted_at")[:1]
    known = User.objects.filter(pk__in=users).annotate(served=Subquery(of_user))
    served: dict[Party, datetime | None] = dict(known.values_list("pk", "served"))
    if len(users) < len(parties):
        of_signer = admitted.filter(requester=None, signer=OuterRef("signer"))
        waiting = _acted_on(host_id).waiting()
        signed = waiting.filter(requester=None).order_by().values("signer").distinct()
        last = signed.annotate(served=Subquery(of_signer.values("admitted_at")[:1]))
        served |= last.values_list("signer", "served")
    return {party: at for party, at in served.items() if at}


def _keys(agent: int, party: Party, *, is_isolated: bool) -> tuple[Key, ...]:
    keys: tuple[Key, ...] = (("agent", agent), ("user", party), ("host", None))
    return (*keys, ("isolated", None)) if is_isolated else keys


def _can_begin(each: Waiting) -> bool:
    """Tell whether what it needs is there now: the engine, or the agent."""
    if each.is_isolated:
        return each.engine_away_since is None
    return each.agent_status == Agent.Status.RUNNING and each.agent_reason != Agent.PAUSED


def _why_never(each: Waiting) -> tuple[Operation.Error, str] | None:
    if each.is_isolated:
        since = each.engine_away_since and max(each.engine_away_since, each.created_at)
        if since and timezone.now() - since > ENGINE_PATIENCE:
            return Error.ENGINE_UNAVAILABLE, ENGINE_AWAY
        return None
    # One that is restarted comes back.
    if each.agent_status in UP or each.agent_verb == Agent.Verb.RESTART:
        return None
    summary = f"The agent was {each.agent_status} before the operation could begin"
    return Error.START_FAILED, summary


def _end(operation_id: UUID, error: Operation.Error, summary: str) -> Ended | None:
    """None for one that was cancelled, or has gone with its agent, since it stood in the line."""
    try:
        operation = Operation.objects.select_related("agent").get(pk=operation_id)
        ended = endings.end(operation, Status.FAILED, error=error, summary=summary)
    except ObjectDoesNotExist:
        return None
    return None if ended is None else Ended(operation, ended)
