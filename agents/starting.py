"""Brings one container of an agent up: made, started, proved, given its environment.

Each function is safe to repeat after any step of an earlier attempt.
"""

import time
from datetime import datetime

from agents import containers, environment, sockets, wire
from agents.errors import AgentUnavailable, ContainerMissing, StartFailed
from agents.models import Agent
from agents.runtime import Container, ContainerStatus, get_runtime

READY_SECONDS = 20.0
READY_STEP_SECONDS = 0.02


def inspect(agent: Agent) -> Container | None:
    if not agent.container_id:
        return None
    try:
        return get_runtime().inspect(agent.container_id)
    except ContainerMissing:
        return None


def is_running(container: Container | None) -> bool:
    return container is not None and container.status is ContainerStatus.RUNNING


def bring_up(agent: Agent) -> None:
    """Create the container unless there is one, start it, wait until its server is ready.

    Releases the claim when it is done.
    """
    container = inspect(agent)
    if not is_running(container):
        if container is None:
            make(agent)
        start(agent)
    try:
        await_ready(agent)
    except StartFailed:
        get_runtime().stop(agent.container_id, grace_seconds=0)
        raise
    agent.release(status=Agent.Status.RUNNING, started_at=started_at(agent))


def make(agent: Agent) -> None:
    """Make sure of a container as the agent is recorded now."""
    if agent.container_id:
        # It was removed behind our back.
        agent.record(generation=agent.generation + 1, container_id="")
    spec = containers.spec_of(agent)
    # The engine wants it to be there; the key comes with each start.
    sockets.remake_run_directory(spec.run_directory, containers.server_key(agent))
    agent.record(
        # Also finds the one of an attempt that was killed before it could record the id.
        container_id=get_runtime().create(spec),
        container_spec=spec.labels["trinity.spec"],
        applied_memory_bytes=spec.limits.memory_bytes,
        applied_cpus=spec.limits.cpus,
    )


def start(agent: Agent) -> None:
    """Start a container that does not run, with a run directory as good as new."""
    # Whatever its programs have left there, the key has to be in its place again.
    sockets.remake_run_directory(containers.run_directory(agent), containers.server_key(agent))
    apply_limits(agent)
    get_runtime().start(agent.container_id)


def started_at(agent: Agent) -> datetime | None:
    return get_runtime().inspect(agent.container_id).started_at


def apply_limits(agent: Agent) -> None:
    """Give the container the limits that are recorded, unless it has them."""
    limits = agent.limits
    if limits != agent.applied_limits:
        # Unknown while the engine is asked: it may apply them and go before it says so.
        agent.record(applied_memory_bytes=None, applied_cpus=None)
        get_runtime().update(agent.container_id, limits)
        agent.record(applied_memory_bytes=limits.memory_bytes, applied_cpus=limits.cpus)


def await_ready(
    agent: Agent, *, seconds: float | None = None, unless_configured: bool = False
) -> None:
    """Return when the server of this generation has proved itself and has its environment.

    Raises StartFailed when it does not come up in time or is another, UnreadableSecret.
    """
    values = environment.values_of(agent)
    deadline = time.monotonic() + (READY_SECONDS if seconds is None else seconds)
    while True:
        try:
            is_taken = _configure(agent, values, unless_configured=unless_configured)
        except AgentUnavailable as error:
            _check_alive(agent)
            if time.monotonic() > deadline:
                raise StartFailed(f"{agent.name} did not come up: {error}") from error
            time.sleep(READY_STEP_SECONDS)
        else:
            break
    has = containers.given(agent.container_spec, values)
    if is_taken and has != agent.container_spec:
        # Set while it came up, or since it was made, if it was started by hand or goes on again.
        agent.container_spec = has
        # Without a claim, if somebody else has started it: it may be another's turn by now.
        present = Agent.objects.filter(pk=agent.pk, container_id=agent.container_id)
        present.update(container_spec=has)


def _configure(agent: Agent, values: dict[str, str], *, unless_configured: bool) -> bool:
    directory = containers.run_directory(agent)
    connection = get_runtime().connect(agent.container_id, directory)
    key = containers.server_key(agent)
    try:
        return wire.configure(
            connection,
            key,
            agent.generation,
            environment=values,
            unless_configured=unless_configured,
        )
    except (wire.Refused, wire.WrongGeneration) as error:
        raise StartFailed(f"{agent.name} did not come up: {error}") from error


def _check_alive(agent: Agent) -> None:
    container = get_runtime().inspect(agent.container_id)
    if container.status is not ContainerStatus.RUNNING:
        raise StartFailed(
            f"{agent.name} ended while it came up, with exit code {container.exit_code}: "
            "its log says more"
        )
