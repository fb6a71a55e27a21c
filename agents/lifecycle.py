"""What is done to agents: create, start, stop, restart, delete.

Each verb claims the agent, records its intent, acts on the engine, and records the outcome
with the release of the claim. A process that dies in between leaves a claim whose holder is
gone; ``agents.reconcile`` finishes it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import IntegrityError, transaction

from agents import containers, live, sockets, wire
from agents.errors import (
    AgentUnavailable,
    Busy,
    ContainerMissing,
    EngineRefused,
    EngineUnavailable,
    ImageMissing,
    ImageNotAllowed,
    NameTaken,
    StartFailed,
    UnknownTemplate,
)
from agents.limits import check_cpu, check_memory
from agents.models import Agent, Host, Log, clean_name
from agents.runtime import Container, ContainerStatus, get_runtime
from trinity.audit import Actor, recorded
from trinity.errors import Forbidden, TrinityError
from trinity.models import User

READY_SECONDS = 20
READY_STEP_SECONDS = 0.02
BUSY_STEP_SECONDS = 0.1
DELETE_WAIT_SECONDS = 20
DEFAULT_TEMPLATE = "local:default"
TEMPLATES = (DEFAULT_TEMPLATE,)

Verb = Agent.Verb
Status = Agent.Status


@dataclass(frozen=True, slots=True)
class NewAgent:
    """What a person says of an agent that shall be."""

    owner: User
    name: str
    type: str = "business-assistant"
    template: str = DEFAULT_TEMPLATE
    image: str = "trinity-agent-base:latest"
    #: None is the template's own, also when that changes later.
    memory: str | None = None
    cpu: str | None = None
    github_repo: str = ""
    description: str = ""
    tags: list[str] = field(default_factory=list)


def create(actor: Actor, new: NewAgent) -> Agent:
    """Record the agent and bring it to running.

    Raises InvalidName, NameTaken, UnknownTemplate, ImageNotAllowed, InvalidLimit; and
    EngineUnavailable or StartFailed, after which nothing of the agent is left.
    An image that is still to be built leaves it ``starting``: the supervisor goes on.
    """
    name = clean_name(new.name)
    with recorded(actor, "create", "agent", name):
        _check(new)
        check_engine()
        agent = _insert(name, new)
        live.announce_from_thread(agent, "agent_created")
        try:
            _bring_up_or_wait(agent)
        except TrinityError:
            erase(agent)
            raise
    return agent


def _check(new: NewAgent) -> None:
    if new.template not in TEMPLATES:
        raise UnknownTemplate(
            f"Unknown template {new.template!r}: must be one of {', '.join(TEMPLATES)}"
        )
    if new.image not in settings.TRINITY_IMAGES:
        raise ImageNotAllowed(
            f"Image {new.image!r} is not allowed: must be one of "
            f"{', '.join(settings.TRINITY_IMAGES)}"
        )
    if new.memory is not None:
        check_memory(new.memory)
    if new.cpu is not None:
        check_cpu(new.cpu)


def check_engine() -> Host:
    """Raise EngineUnavailable at once while it is recorded as away, else after 3 s at most."""
    host = Host.objects.local()
    if host.away_since:
        raise EngineUnavailable(host.away_reason)
    get_runtime().check()
    return host


def _insert(name: str, new: NewAgent) -> Agent:
    """The row comes first and is committed with its claim: no container without one."""
    agent = Agent(
        name=name,
        owner=new.owner,
        type=new.type,
        template=new.template,
        image=new.image,
        memory_limit=new.memory,
        cpu_limit=new.cpu,
        github_repo=new.github_repo,
        description=new.description,
        tags=new.tags,
        host=Host.objects.local(),
    )
    try:
        with transaction.atomic():
            agent.log = Log.objects.create()
            agent.save()
            agent.claim(Verb.CREATE)
    except IntegrityError as error:
        # The constraint decides, not a query before it: two requests may race.
        raise NameTaken("Agent already exists") from error
    return agent


def start(agent: Agent, actor: Actor) -> None:
    """Bring the agent up; nothing happens when it runs."""
    with recorded(actor, "start", "agent", agent.name), _claimed(agent, Verb.START):
        if not _runs(agent):
            agent.record(desired=Agent.Desired.RUNNING, status=Status.STARTING)
            live.announce_from_thread(agent, "agent_status")
            _bring_up_or_wait(agent)


def stop(agent: Agent, actor: Actor, *, grace_seconds: int = 10) -> None:
    """Take the agent down; nothing happens when it does not run."""
    with recorded(actor, "stop", "agent", agent.name), _claimed(agent, Verb.STOP):
        agent.record(desired=Agent.Desired.STOPPED)
        if not _is_down(agent):
            take_down(agent, grace_seconds=grace_seconds)
            agent.release(status=Status.STOPPED)
    live.announce_from_thread(agent, "agent_stopped")


def restart(agent: Agent, actor: Actor, *, grace_seconds: int = 10) -> None:
    with recorded(actor, "restart", "agent", agent.name), _claimed(agent, Verb.RESTART):
        agent.record(desired=Agent.Desired.RUNNING)
        take_down(agent, grace_seconds=grace_seconds)
        agent.record(status=Status.STARTING)
        live.announce_from_thread(agent, "agent_status")
        _bring_up_or_wait(agent)


def delete(agent: Agent, actor: Actor) -> None:
    """Hide the agent at once, then remove its container, its volumes and its row.

    It waits for a verb under way. When the engine goes meanwhile, the supervisor ends it.
    """
    if agent.is_system:
        raise Forbidden("A system agent cannot be deleted")
    with recorded(actor, "delete", "agent", agent.name):
        check_engine()
        agent.record(deleting=True)
        live.announce_from_thread(agent, "agent_deleted")
        if _claim_in_time(agent):
            erase(agent)


def _claim_in_time(agent: Agent) -> bool:
    """Wait for a verb under way; False when the supervisor has deleted it, or is to."""
    deadline = time.monotonic() + DELETE_WAIT_SECONDS
    while time.monotonic() < deadline and Agent.objects.filter(pk=agent.pk).exists():
        try:
            agent.claim(Verb.DELETE)
        except Busy:
            time.sleep(BUSY_STEP_SECONDS)
        else:
            return True
    return False


@contextmanager
def _claimed(agent: Agent, verb: Verb) -> Iterator[None]:
    """Hold the agent for one verb; a failure is recorded with the release."""
    check_engine()
    agent.claim(verb)
    before = {"status": agent.status, "desired": agent.desired}
    try:
        yield
    except EngineUnavailable:
        # Nothing is known to have happened; what did is seen when the engine is back.
        agent.release(**before, status_reason=agent.status_reason)
        live.announce_from_thread(agent, "agent_status")
        raise
    except TrinityError as error:
        agent.release(status=Status.ERROR, status_reason=str(error)[:300])
        live.announce_from_thread(agent, "agent_status")
        raise
    finally:
        if agent.verb:
            agent.release()


def _runs(agent: Agent) -> bool:
    if agent.status != Status.RUNNING:
        return False
    container = _inspect(agent)
    return container is not None and container.status is ContainerStatus.RUNNING


def _is_down(agent: Agent) -> bool:
    if agent.status != Status.STOPPED:
        return False
    container = _inspect(agent)
    return container is None or container.status is not ContainerStatus.RUNNING


def _inspect(agent: Agent) -> Container | None:
    if not agent.container_id:
        return None
    try:
        return get_runtime().inspect(agent.container_id)
    except ContainerMissing:
        return None


def is_built_here(image: str) -> bool:
    """Tell whether Trinity makes the image itself when it is missing."""
    return image in settings.TRINITY_IMAGES[:1]


def _bring_up_or_wait(agent: Agent) -> None:
    """Bring the agent up, or leave it ``starting`` while its image is built."""
    try:
        bring_up(agent)
    except ImageMissing:
        if not is_built_here(agent.image):
            raise
        agent.release(status=Status.STARTING, status_reason="the image is being built")
        live.announce_from_thread(agent, "agent_status")
    else:
        live.announce_from_thread(agent, "agent_started")


def bring_up(agent: Agent) -> None:
    """Create the container unless there is one, start it, wait until its server answers.

    Safe to repeat after any step of an earlier attempt. Releases the claim when it is done.
    """
    runtime, container = get_runtime(), _inspect(agent)
    if container is None or container.status is not ContainerStatus.RUNNING:
        _prepare_container(agent, container)
        runtime.start(agent.container_id)
    try:
        await_ready(agent)
    except StartFailed:
        runtime.stop(agent.container_id, grace_seconds=0)
        raise
    started_at = runtime.inspect(agent.container_id).started_at
    agent.release(status=Status.RUNNING, started_at=started_at)


def _prepare_container(agent: Agent, container: Container | None) -> None:
    """Make sure of a container that can be started, with a run directory as good as new."""
    if container is None and agent.container_id:
        agent.record(generation=agent.generation + 1, container_id="")
    spec = containers.spec_of(agent)
    # Whatever its programs have left there, the key has to be in its place again.
    sockets.remake_run_directory(spec.run_directory, containers.server_key(agent))
    if container is not None:
        apply_limits(agent)
    else:
        agent.record(
            # Also finds the one of an attempt that was killed before it could record the id.
            container_id=get_runtime().create(spec),
            applied_memory_bytes=spec.limits.memory_bytes,
            applied_cpus=spec.limits.cpus,
        )


def apply_limits(agent: Agent) -> None:
    """Give the container the limits that are recorded, unless it has them."""
    limits = agent.limits
    if limits != agent.applied_limits:
        # Unknown while the engine is asked: it may apply them and go before it says so.
        agent.record(applied_memory_bytes=None, applied_cpus=None)
        get_runtime().update(agent.container_id, limits)
        agent.record(applied_memory_bytes=limits.memory_bytes, applied_cpus=limits.cpus)


def await_ready(agent: Agent) -> None:
    """Return when the server of this generation has proved itself; raise StartFailed."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            generation = _generation(agent)
        except AgentUnavailable as error:
            _check_alive(agent)
            if time.monotonic() > deadline:
                raise StartFailed(f"{agent.name} did not come up: {error}") from error
            time.sleep(READY_STEP_SECONDS)
        else:
            if generation != agent.generation:
                raise StartFailed(f"{agent.name} answers as generation {generation}")
            return


def _generation(agent: Agent) -> int:
    directory = containers.run_directory(agent)
    connection = get_runtime().connect(agent.container_id, directory)
    return wire.generation_of(connection, containers.server_key(agent))


def _check_alive(agent: Agent) -> None:
    container = get_runtime().inspect(agent.container_id)
    if container.status is not ContainerStatus.RUNNING:
        raise StartFailed(
            f"{agent.name} ended while it came up, with exit code {container.exit_code}: "
            "its log says more"
        )


def take_down(agent: Agent, *, grace_seconds: int) -> None:
    agent.record(status=Status.STOPPING)
    live.announce_from_thread(agent, "agent_status")
    # None yet, while the image is being built.
    if agent.container_id:
        get_runtime().stop(agent.container_id, grace_seconds=grace_seconds)


def erase(agent: Agent) -> None:
    """Remove all there is of an agent, the row last. Safe to repeat."""
    agent.record(deleting=True)
    runtime, spec = get_runtime(), containers.spec_of(agent)
    try:
        for container in runtime.containers(instance=agent.host.instance):
            # By label: an id may not have been recorded yet.
            if container.labels.get("trinity.agent-uid") == agent.uid:
                runtime.remove(container.id)
        runtime.remove_volume(spec.workspace_volume)
        runtime.remove_volume(spec.spool_volume)
    except (EngineUnavailable, EngineRefused):
        # The row stays, hidden: the supervisor tries again.
        agent.release()
        return
    sockets.remove_run_directory(spec.run_directory)
    erase_row(agent)


def erase_row(agent: Agent) -> None:
    with transaction.atomic():
        logs = Log.objects.filter(operation__agent=agent).values_list("pk", flat=True)
        log_ids = [*logs, agent.log_id]
        agent.delete()
        Log.objects.filter(pk__in=log_ids).delete()
