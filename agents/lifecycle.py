"""What is done to agents: create, start, stop, restart, delete.

Each verb claims the agent, records its intent, acts on the engine, and records the outcome
with the release of the claim. A process that dies in between leaves a claim whose holder is
gone; ``agents.reconcile`` finishes it.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import IntegrityError, transaction

from agents import (
    activities,
    containers,
    control,
    live,
    network,
    recreation,
    retention,
    sockets,
    starting,
    templates,
)
from agents.errors import (
    Busy,
    EngineRefused,
    EngineUnavailable,
    ImageMissing,
    ImageNotAllowed,
    NameTaken,
    SystemAgent,
    TemplateNotFound,
    UnknownTemplate,
)
from agents.image_source import is_built_here
from agents.limits import check_cpu, check_memory
from agents.models import Activity, Agent, GitConfig, Host, Log, clean_name
from agents.output.container_logs import store_rest
from agents.retention import KEEP_ALL, Keep
from agents.runtime import get_runtime
from agents.template_file import Content
from agents.workspace.repositories import check_repository
from trinity.audit import Actor, recorded
from trinity.errors import TrinityError
from trinity.models import User

BUSY_STEP_SECONDS = 0.1
DELETE_WAIT_SECONDS = 20

Verb = Agent.Verb
Status = Agent.Status


@dataclass(frozen=True, slots=True)
class NewAgent:
    """What a person says of an agent that shall be."""

    owner: User
    name: str
    template: str = templates.DEFAULT
    #: None is the template's own, of these as it is now.
    type: str | None = None
    image: str | None = None
    #: None is the template's own, to which the limit can be set back.
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
        template = _check(new)
        check_engine().check_disk()
        agent = _insert(name, new, template)
        live.announce_from_thread(agent, "agent_created")
        try:
            with happening(agent, Verb.CREATE, actor):
                _bring_up_or_wait(agent)
        except TrinityError:
            erase(agent)
            raise
    return agent


def happening(agent: Agent, verb: Agent.Verb, actor: Actor) -> AbstractContextManager[Activity]:
    """Record the verb inside as an activity; for those who hold its claim."""
    return activities.recorded(
        agent, Activity.Type.AGENT_LIFECYCLE, actor, details={"verb": verb.value}
    )


def _check(new: NewAgent) -> Content:
    """Return what the template says; raise for anything that may not be."""
    if new.image is not None:
        check_image(new.image)
    if new.github_repo:
        check_repository(new.github_repo)
    if new.memory is not None:
        check_memory(new.memory)
    if new.cpu is not None:
        check_cpu(new.cpu)
    try:
        return templates.find(new.template).usable
    except TemplateNotFound as error:
        raise UnknownTemplate(str(error)) from error


def check_image(image: str) -> None:
    if image not in settings.TRINITY_IMAGES:
        raise ImageNotAllowed(
            f"Image {image!r} is not allowed: must be one of {', '.join(settings.TRINITY_IMAGES)}"
        )


def check_engine() -> Host:
    """Raise EngineUnavailable at once while it is recorded as away, else after 3 s at most.

    Raises ReportOnly while nothing on it may be changed.
    """
    host = Host.objects.local()
    control.check(host)
    if host.away_since:
        raise EngineUnavailable(host.away_reason)
    get_runtime().check()
    return host


def _insert(name: str, new: NewAgent, template: Content) -> Agent:
    """The row comes first and is committed with its claim: no container without one.

    It keeps what its template says now: a template that changes changes no agent.
    """
    agent = Agent(
        name=name,
        owner=new.owner,
        type=new.type or template.type,
        template=new.template,
        image=new.image or template.image,
        command=template.command,
        prompt_command=template.prompt_command,
        template_memory=template.memory,
        template_cpu=template.cpu,
        template_disk=template.disk,
        memory_limit=new.memory,
        cpu_limit=new.cpu,
        description=new.description,
        tags=new.tags,
        host=Host.objects.local(),
    )
    try:
        with transaction.atomic():
            agent.log = Log.objects.create()
            agent.save()
            if new.github_repo:
                GitConfig.objects.create_for(agent, new.github_repo)
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
            with happening(agent, Verb.START, actor):
                _bring_up_or_wait(agent)


def stop(agent: Agent, actor: Actor, *, grace_seconds: int = 10) -> None:
    """Take the agent down; nothing happens when it does not run."""
    with recorded(actor, "stop", "agent", agent.name), _claimed(agent, Verb.STOP):
        agent.record(desired=Agent.Desired.STOPPED)
        if agent.recreation or not _is_down(agent):
            with happening(agent, Verb.STOP, actor):
                take_down(agent, grace_seconds=grace_seconds)
                agent.release(status=Status.STOPPED)
    live.announce_from_thread(agent, "agent_stopped")


def restart(agent: Agent, actor: Actor, *, grace_seconds: int = 10) -> None:
    with (
        recorded(actor, "restart", "agent", agent.name),
        _claimed(agent, Verb.RESTART),
        happening(agent, Verb.RESTART, actor),
    ):
        agent.record(desired=Agent.Desired.RUNNING)
        if recreation.is_due(agent):
            recreation.begin(agent)
        else:
            take_down(agent, grace_seconds=grace_seconds)
            agent.record(status=Status.STARTING)
        live.announce_from_thread(agent, "agent_status")
        _bring_up_or_wait(agent, grace_seconds=grace_seconds)


def delete(agent: Agent, actor: Actor, keep: Keep = KEEP_ALL) -> None:
    """Hide the agent at once, then remove its container, its row, and what is not kept.

    It waits for a verb under way. When the engine goes meanwhile, the supervisor ends it.
    """
    if agent.is_system:
        raise SystemAgent("A system agent cannot be deleted")
    with recorded(actor, "delete", "agent", agent.name, detail=str(keep)):
        check_engine()
        with transaction.atomic():
            agent.record(deleting=True)
            retention.retain(agent, actor, keep)
        live.announce_from_thread(agent, "agent_deleted")
        if _claim_in_time(agent):
            with happening(agent, Verb.DELETE, actor):
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
def holding(agent: Agent, verb: Verb) -> Iterator[None]:
    """Hold the agent for one verb on an engine that answers; the claim never stays behind."""
    check_engine()
    agent.claim(verb)
    try:
        yield
    finally:
        if agent.verb:
            agent.release()


@contextmanager
def _claimed(agent: Agent, verb: Verb) -> Iterator[None]:
    """Hold the agent for a verb that changes its status; a failure is recorded with the release."""
    with holding(agent, verb):
        before = {"status": agent.status, "desired": agent.desired}
        try:
            yield
        except EngineUnavailable:
            # Nothing is known to have happened; what did is seen when the engine is back.
            agent.release(**before, status_reason=agent.status_reason)
            live.announce_from_thread(agent, "agent_status")
            raise
        except TrinityError as error:
            recreation.fail(agent, error)
            live.announce_from_thread(agent, "agent_status")
            raise


def _runs(agent: Agent) -> bool:
    if agent.status != Status.RUNNING:
        return False
    return starting.is_running(starting.inspect(agent))


def _is_down(agent: Agent) -> bool:
    if agent.status != Status.STOPPED:
        return False
    return not starting.is_running(starting.inspect(agent))


def _bring_up_or_wait(agent: Agent, *, grace_seconds: int = 10) -> None:
    """Bring the agent up, or leave it ``starting`` while its image is built."""
    try:
        bring_up(agent, grace_seconds=grace_seconds)
    except ImageMissing:
        if not is_built_here(agent.image):
            raise
        agent.release(status=Status.STARTING, status_reason="the image is being built")
        live.announce_from_thread(agent, "agent_status")
    else:
        live.announce_from_thread(agent, "agent_started")


def bring_up(agent: Agent, *, grace_seconds: int = 10, ran: bool = False) -> None:
    """Bring the agent up, in a new container where it is to have another; releases the claim.

    Safe to repeat after any step of an earlier attempt. ``ran``: it is to run again also when
    the new container does not come up.
    """
    if agent.recreation == Agent.Recreation.SPENT:
        recreation.discard_old(agent)
    runs = starting.is_running(starting.inspect(agent))
    if not runs:
        # First, for one that cannot be guarded any more is no part of what it is made of.
        network.prepare_for(agent)
    if agent.recreation or (not runs and recreation.is_due(agent)):
        recreation.recreate(agent, grace_seconds=grace_seconds, ran=ran)
    else:
        starting.bring_up(agent)


def take_down(agent: Agent, *, grace_seconds: int) -> None:
    agent.record(status=Status.STOPPING)
    live.announce_from_thread(agent, "agent_status")
    recreation.end(agent)
    # None yet, while the image is being built.
    if agent.container_id:
        get_runtime().stop(agent.container_id, grace_seconds=grace_seconds)


def erase(agent: Agent) -> None:
    """Remove all there is of an agent but what is retained, the row last. Safe to repeat."""
    agent.record(deleting=True)
    runtime = get_runtime()
    retained = retention.of(agent)
    try:
        for container in runtime.containers(instance=agent.host.instance):
            # By label: an id may not have been recorded yet.
            if container.labels.get("trinity.agent-uid") == agent.uid:
                if retained and retained.log_id and container.id == agent.container_id:
                    # The last lines: the log outlives the agent.
                    runtime.stop(container.id, grace_seconds=0)
                    store_rest(agent, container.id)
                runtime.remove(container.id)
        if not (retained and retained.has_workspace):
            runtime.remove_volume(containers.volume_name(agent, "workspace"))
        runtime.remove_volume(containers.volume_name(agent, "spool"))
    except (EngineUnavailable, EngineRefused):
        # The row stays, hidden: the supervisor tries again.
        agent.release()
        return
    for directory in containers.run_directories(agent):
        sockets.remove_run_directory(directory)
    erase_row(agent)


def erase_row(agent: Agent) -> None:
    with transaction.atomic():
        logs = Log.objects.filter(operation__agent=agent).values_list("pk", flat=True)
        log_ids = [*logs, agent.log_id]
        agent.delete()
        Log.objects.filter(pk__in=log_ids, retained=None).delete()
