"""Brings recorded state and real containers into line, and ends what others left undone.

Everything here is for the holder of the host's lease: writes are conditional on its epoch.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from agents import lifecycle, limiting, process, recreation, starting
from agents.errors import ContainerMissing, EngineRefused, EngineUnavailable, ImageMissing
from agents.image_source import is_built_here
from agents.models import Agent, AgentQuerySet, Host
from agents.runtime import Change, Container, ContainerStatus, get_runtime
from trinity.audit import SYSTEM
from trinity.errors import TrinityError

logger = logging.getLogger(__name__)

Status = Agent.Status

# All that wait for an image wait for one build of it.
_building = Lock()

# An engine that stops takes its containers down before it stops answering.
OUTAGE_MARGIN = timedelta(seconds=15)
# Who starts a container by hand waits for its server no longer.
HAND_OVER_SECONDS = 5.0
# How soon what could not be finished is tried again.
RETRY = timedelta(seconds=10)
# 128 and the number of SIGKILL.
KILLED = 137


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of an agent's container."""

    agent: Agent
    container: Container | None
    #: False: nothing new, or a verb is under way that will record it.
    changed: bool


def observe(host: Host, epoch: int, container_id: str, change: Change) -> Observed | None:
    """Record what the engine says of a container now; None when it is no agent's."""
    agent = _agents(host).filter(container_id=container_id).first()
    if agent is None:
        return None
    try:
        container = get_runtime().inspect(container_id)
    except ContainerMissing:
        container = None
    if agent.verb:
        return Observed(agent, container, changed=False)
    return Observed(agent, container, _record(agent, epoch, container, change))


def _agents(host: Host) -> AgentQuerySet:
    return Agent.objects.filter(host=host).select_related("host", "owner")


def _record(agent: Agent, epoch: int, container: Container | None, change: Change) -> bool:
    status, reason = status_of(container)
    if change is Change.OUT_OF_MEMORY and status == Status.RUNNING:
        reason = "out_of_memory"
    if _is_known(agent, status, reason):
        return False
    if agent.status == Status.ERROR and status == Status.STOPPED:
        return False  # Why it did not come up tells more than its exit code.
    fields = {"status": status, "status_reason": reason, "status_at": Now()}
    if container is not None:
        fields["started_at"] = container.started_at
    held = Agent.objects.filter(pk=agent.pk, verb="", host__lease_epoch=epoch)
    changed = bool(held.update(**fields))
    agent.refresh_from_db()
    return changed


def _is_known(agent: Agent, status: Status, reason: str) -> bool:
    if status != agent.status or status != Status.RUNNING:
        return status == agent.status
    if Agent.PAUSED in {reason, agent.status_reason}:
        return reason == agent.status_reason
    # That memory ran out stays told, and is told each time.
    return not reason


def status_of(container: Container | None) -> tuple[Status, str]:
    """The status that a container amounts to, and why."""
    if container is None:
        return Status.MISSING, "removed: the container is gone from the engine"
    if container.status is ContainerStatus.RUNNING:
        return Status.RUNNING, Agent.PAUSED if container.is_paused else ""
    if container.status is ContainerStatus.CREATED:
        return Status.STOPPED, "never started"
    # The engine also says so when an operation ran out of memory long before a clean end.
    if container.out_of_memory and container.exit_code == KILLED:
        return Status.STOPPED, "out_of_memory"
    return Status.STOPPED, f"exit code {container.exit_code}"


def resync(host: Host, epoch: int) -> list[Observed]:
    """Compare all agents with all containers: one call, and one more for each difference."""
    found = {each.id: each for each in get_runtime().containers(instance=host.instance)}
    seen: list[Observed] = []
    for agent in _agents(host).filter(verb="").exclude(container_id=""):
        container = found.get(agent.container_id)
        runs = container is not None and container.status is ContainerStatus.RUNNING
        if runs or status_of(container)[0] != agent.status:
            with suppress(EngineRefused):
                observed = observe(host, epoch, agent.container_id, Change.OTHER)
                seen += [observed] if observed else []
    return seen


def down_since(host: Host, since: datetime) -> list[Agent]:
    """Agents that went down with the engine or after it, not by somebody's hand before."""
    down = _agents(host).filter(
        verb="", status__in=[Status.STOPPED, Status.MISSING], status_at__gte=since
    )
    return list(down)


def should_run(agent: Agent) -> bool:
    """Tell whether an agent that was found down is to be started: its desired state decides."""
    is_down = agent.status in {Status.STOPPED, Status.MISSING}
    return is_down and agent.desired == Agent.Desired.RUNNING and not agent.deleting


def unfinished(host: Host) -> list[Agent]:
    """Agents with a verb that nobody works on any more, or that nobody has begun yet."""
    left = (
        _agents(host)
        .acted_on()
        .filter(
            Q(verb_expires_at__lt=Now())
            | (~Q(verb="") & ~Q(verb_holder=process.HOLDER))
            | Q(verb="", deleting=True)
            | Q(verb="", status=Status.STARTING)
            # Left to us by a verb that failed in the middle; not at once again where we fail too.
            | (Q(verb="", status_at__lt=timezone.now() - RETRY) & ~Q(recreation=""))
        )
    )
    return [agent for agent in left if not agent.verb or _is_abandoned(agent)]


def _is_abandoned(agent: Agent) -> bool:
    expired = Agent.objects.filter(pk=agent.pk, verb_expires_at__lt=Now())
    return process.is_gone(agent.verb_holder) or expired.exists()


def finish(agent: Agent) -> bool:
    """End the verb that was left undone; return whether it was ours to end.

    ``status`` and ``status_reason`` tell how it went: nobody waits for an answer here.
    """
    # One that ran, and not one that somebody wanted to start.
    ran = agent.verb in {"", Agent.Verb.RESTART}
    verb = _take_over(agent)
    if verb is None:
        return False
    try:
        _finish_or_fail(agent, verb, ran=ran)
    except EngineUnavailable:
        # Still abandoned: it is taken up again when the engine is back.
        Agent.objects.filter(pk=agent.pk).update(verb_expires_at=Now())
        raise
    return True


def _finish_or_fail(agent: Agent, verb: Agent.Verb, *, ran: bool) -> None:
    try:
        with lifecycle.happening(agent, verb, SYSTEM):
            _finish(agent, verb, ran=ran)
    except EngineUnavailable:
        raise
    except TrinityError as error:
        recreation.fail(agent, error)


def _take_over(agent: Agent) -> Agent.Verb | None:
    """Move the abandoned claim to this process; only one can."""
    left = Agent.Verb(agent.verb or Agent.Verb.START)
    verb = Agent.Verb.DELETE if agent.deleting else left
    claim = Agent.objects.acted_on().filter(
        pk=agent.pk,
        verb=agent.verb,
        verb_holder=agent.verb_holder,
        verb_expires_at=agent.verb_expires_at,
        # Someone may have stopped or deleted it since it was found.
        status=agent.status,
        desired=agent.desired,
        deleting=agent.deleting,
    )
    taken = claim.update(verb=verb, verb_holder=process.HOLDER, verb_expires_at=Now() + Agent.CLAIM)
    agent.refresh_from_db()
    return verb if taken else None


def _finish(agent: Agent, verb: Agent.Verb, *, ran: bool) -> None:
    match verb:
        case Agent.Verb.DELETE:
            lifecycle.erase(agent)
        case Agent.Verb.STOP:
            lifecycle.take_down(agent, grace_seconds=10)
            agent.release(status=Status.STOPPED)
        case Agent.Verb.LIMIT:
            limiting.finish(agent)
        case _ if agent.recreation and agent.desired == Agent.Desired.STOPPED:
            # Who wanted it to start was told that this failed.
            lifecycle.take_down(agent, grace_seconds=10)
            agent.release(status=Status.STOPPED)
        case _:
            _bring_up(agent, ran=ran)


def _bring_up(agent: Agent, *, ran: bool) -> None:
    try:
        lifecycle.bring_up(agent, ran=ran)
    except ImageMissing:
        if not is_built_here(agent.image):
            raise
        with _building:
            get_runtime().build_image(agent.image, logger.info)
        lifecycle.bring_up(agent, ran=ran)


def hand_over(agent: Agent) -> None:
    """Give its environment to a server that has none, because somebody else has started it."""
    try:
        starting.await_ready(agent, seconds=HAND_OVER_SECONDS, unless_configured=True)
    except TrinityError as error:
        logger.info("%s keeps the environment that it has: %s", agent.name, error)
