"""Gives an agent a new container in place of one that is not as the agent is recorded.

The new one is made while the old one is still there, and the old one is removed only when the
new one has proved itself. Both have the same workspace and spool, so they never run together.
What is under way is recorded before each step, and each step can be repeated: a process that
dies leaves the rest to the next one.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from django.utils import timezone

from agents import containers, live, sockets, starting
from agents.errors import (
    ClaimLost,
    ContainerMissing,
    EngineRefused,
    EngineUnavailable,
    StartFailed,
    UnreadableSecret,
)
from agents.models import Agent
from agents.output.container_logs import store_rest
from agents.runtime import get_runtime
from trinity.errors import TrinityError

logger = logging.getLogger(__name__)

Phase, Status = Agent.Recreation, Agent.Status
NOTHING_OLD = {"recreation": "", "old_container_id": "", "old_spec": "", "old_ran": False}


def is_needed(agent: Agent) -> bool:
    """Tell whether the agent has a container that its next start will replace."""
    if not (agent.container_id or agent.recreation):
        return False
    try:
        # One of which nothing is known was made before its server took an environment.
        return containers.spec_hash(agent) != agent.container_spec
    except UnreadableSecret:
        return True


def is_due(agent: Agent) -> bool:
    """Tell whether a start has to recreate: one is under way, or needed and possible."""
    return bool(agent.recreation) or (is_needed(agent) and starting.inspect(agent) is not None)


def recreate(agent: Agent, *, grace_seconds: int = 10, ran: bool = False) -> None:
    """Replace the container, or go on with that; releases the claim when it is done.

    ``ran``: the agent should have run, whether its container does or not. Whoever catches an
    error of it calls ``fail``, or leaves it to the supervisor.
    """
    begin(agent, ran=ran)
    if agent.recreation == Phase.RETURNING:
        go_back(agent)
        if agent.status != Status.RUNNING:
            raise StartFailed(agent.status_reason)
        return
    for step in Steps.ALL:
        agent.hold()
        step(Steps(agent, grace_seconds))
    agent.release()


def begin(agent: Agent, *, ran: bool = False) -> None:
    """Record what there is to go back to, in the write that leaves it; once."""
    if agent.recreation:
        return
    agent.record(
        recreation=Phase.MAKING,
        old_container_id=agent.container_id,
        old_spec=agent.container_spec,
        old_ran=ran or starting.is_running(starting.inspect(agent)),
        container_id="",
        container_spec="",
        generation=agent.generation + 1,
        status=Status.STARTING,
    )


class Steps:
    """The steps in their order."""

    def __init__(self, agent: Agent, grace_seconds: int) -> None:
        self._agent = agent
        self._grace_seconds = grace_seconds

    def make(self) -> None:
        agent = self._agent
        if agent.container_id and is_needed(agent):
            # It was changed again since an earlier attempt has made this one.
            _remove(agent, agent.container_id)
            agent.record(container_id="", container_spec="")
        if not agent.container_id:
            starting.make(agent)

    def stop_old(self) -> None:
        get_runtime().stop(self._agent.old_container_id, grace_seconds=self._grace_seconds)

    def keep_log(self) -> None:
        store_rest(self._agent, self._agent.old_container_id)

    def put_aside(self) -> None:
        generation = self._agent.generation - 1
        name = f"{containers.final_name(self._agent)}.old-{generation}"
        # One that somebody has removed meanwhile is out of the way.
        with suppress(ContainerMissing):
            get_runtime().rename(self._agent.old_container_id, name)

    def name(self) -> None:
        get_runtime().rename(self._agent.container_id, containers.final_name(self._agent))

    def start(self) -> None:
        if not starting.is_running(starting.inspect(self._agent)):
            starting.start(self._agent)

    def await_ready(self) -> None:
        starting.await_ready(self._agent)

    def commit(self) -> None:
        self._agent.record(
            recreation=Phase.SPENT,
            status=Status.RUNNING,
            started_at=starting.started_at(self._agent),
        )

    def remove_old(self) -> None:
        discard_old(self._agent)

    ALL: "tuple[Callable[[Steps], None], ...]" = (
        make,
        stop_old,
        keep_log,
        put_aside,
        name,
        start,
        await_ready,
        commit,
        remove_old,
    )


def discard_old(agent: Agent) -> None:
    """Remove the container that was replaced; one that cannot be is tried again later."""
    try:
        for container_id in {agent.old_container_id, *_of_generation(agent)} - {agent.container_id}:
            get_runtime().remove(container_id)
    except (EngineRefused, EngineUnavailable) as error:
        logger.warning("The old container of %s is removed later: %s", agent.name, error)
        agent.record(status_at=timezone.now())
        return
    sockets.remove_run_directory(containers.run_directory(agent, agent.generation - 1))
    agent.record(**NOTHING_OLD)


def fail(agent: Agent, error: TrinityError) -> None:
    """Record that a verb has failed, and go back if a recreation did; releases the claim.

    Raises EngineUnavailable with the rest left to the supervisor.
    """
    if agent.recreation == Phase.MAKING:
        agent.hold()
        agent.record(recreation=Phase.RETURNING, status_reason=f"not recreated: {error}"[:300])
        go_back(agent)
    elif agent.verb:
        agent.release(status=Status.ERROR, status_reason=str(error)[:300])


def end(agent: Agent) -> None:
    """End a recreation of an agent that shall not run, in whatever state it was left.

    Its claim is kept; the container that stays may still run.
    """
    if agent.recreation == Phase.SPENT:
        discard_old(agent)
    elif agent.recreation:
        agent.record(recreation=Phase.RETURNING, old_ran=False)
        _return_to_old(agent)
        agent.record(**NOTHING_OLD)


def go_back(agent: Agent) -> None:
    """Have the old container again as the agent's, started if it ran; releases the claim."""
    reason = agent.status_reason
    agent.hold()
    _return_to_old(agent)
    runs = starting.is_running(starting.inspect(agent))
    outcome = Status.RUNNING if runs else Status.ERROR
    if agent.old_ran and not runs:
        outcome, reason = _start_again(agent, reason)
    agent.release(**NOTHING_OLD, status=outcome, status_reason=reason[:300])
    live.announce_from_thread(agent, "agent_status")


def _start_again(agent: Agent, reason: str) -> tuple[Agent.Status, str]:
    try:
        agent.hold()
        starting.start(agent)
        starting.await_ready(agent)
    except (EngineUnavailable, ClaimLost):
        raise
    except TrinityError as error:
        get_runtime().stop(agent.container_id, grace_seconds=0)
        return Status.ERROR, f"{reason}; and the container before: {error}"
    agent.record(started_at=starting.started_at(agent))
    return Status.RUNNING, f"{reason}; the container before runs again"


def _return_to_old(agent: Agent) -> None:
    """Remove what was made anew and make the old container the agent's again."""
    if agent.container_id != agent.old_container_id:
        for container_id in _of_generation(agent):
            _remove(agent, container_id)
        sockets.remove_run_directory(containers.run_directory(agent))
        agent.record(
            container_id=agent.old_container_id,
            container_spec=agent.old_spec,
            generation=agent.generation - 1,
            # Those recorded are the new one's.
            applied_memory_bytes=None,
            applied_cpus=None,
        )
    # Nothing hangs on the name: without it the agent is no less there.
    with suppress(ContainerMissing, StartFailed, EngineRefused):
        get_runtime().rename(agent.container_id, containers.final_name(agent))


def _of_generation(agent: Agent) -> list[str]:
    """Containers of the agent's present generation; an id may not have been recorded."""
    wanted = {"trinity.agent-uid": agent.uid, "trinity.generation": str(agent.generation)}
    return [
        container.id
        for container in get_runtime().containers(instance=agent.host.instance)
        if wanted.items() <= dict(container.labels).items()
    ]


def _remove(agent: Agent, container_id: str) -> None:
    """Remove one that was made and did not last, but for what it had to say."""
    get_runtime().stop(container_id, grace_seconds=0)
    store_rest(agent, container_id)
    get_runtime().remove(container_id)
