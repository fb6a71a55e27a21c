"""Changes what an agent may use: live where it runs, else with its next start."""

from dataclasses import dataclass

from agents import starting
from agents.errors import EngineRefused, LimitBelowUse
from agents.lifecycle import holding
from agents.limits import check_cpu, check_memory, cpus, memory_bytes, memory_text
from agents.models import Agent
from agents.runtime import Container, get_runtime
from trinity.audit import Actor, record
from trinity.errors import TrinityError
from trinity.models import AuditEvent

VERB = "set_limits"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of new limits."""

    applied_live: bool
    #: The container has other limits than those recorded, until its next start.
    restart_needed: bool


def set_limits(agent: Agent, actor: Actor, *, memory: str | None, cpu: str | None) -> Change:
    """Record the limits, None for the template's own, and apply them to what runs.

    Raises InvalidLimit, LimitBelowUse, Busy and EngineUnavailable; then nothing is changed.
    """
    try:
        change = _set_limits(agent, memory, cpu)
    except TrinityError as error:
        failed = AuditEvent.Outcome.FAILED
        record(actor, VERB, "agent", agent.name, outcome=failed, detail=str(error))
        raise
    told = f"memory {memory or 'default'}, cpu {cpu or 'default'}"
    record(actor, VERB, "agent", agent.name, detail=f"{told}. {warning(agent)}".rstrip(". "))
    return change


def warning(agent: Agent) -> str:
    """What to tell of a limit above what the host has; empty where there is none."""
    limits, short = agent.limits, []
    if limits.memory_bytes < memory_bytes(agent.memory):
        short.append(f"{memory_text(limits.memory_bytes)} of memory")
    if limits.cpus < cpus(agent.cpu):
        short.append(f"{limits.cpus:g} CPU")
    if not short:
        return ""
    return f"The host has only {' and '.join(short)}: the limit is applied as far as that goes"


def finish(agent: Agent) -> None:
    """End a change that its process left undone; what cannot be applied waits for a start."""
    if _running_container(agent):
        _apply(agent)
    agent.release()


def _set_limits(agent: Agent, memory: str | None, cpu: str | None) -> Change:
    if memory is not None:
        check_memory(memory)
    if cpu is not None:
        check_cpu(cpu)
    with holding(agent, Agent.Verb.LIMIT):
        before = {"memory_limit": agent.memory_limit, "cpu_limit": agent.cpu_limit}
        limits_before = agent.applied_limits or agent.limits
        try:
            container = _running_container(agent)
            agent.memory_limit, agent.cpu_limit = memory, cpu
            _check_use(agent, container)
            agent.record(memory_limit=memory, cpu_limit=cpu)
            is_applied = container is not None and _apply(agent)
        except TrinityError:
            agent.release(**before)
            raise
    is_new = agent.limits != limits_before
    return Change(is_new and is_applied, is_new and not is_applied)


def _running_container(agent: Agent) -> Container | None:
    container = starting.inspect(agent)
    return container if starting.is_running(container) else None


def _check_use(agent: Agent, container: Container | None) -> None:
    """Refuse what the kernel would, or would kill the agent for."""
    if container is None:
        return
    usage = get_runtime().usage([container]).get(container.id)
    used = usage.memory_bytes if usage else None
    if used is not None and used > agent.limits.memory_bytes:
        raise LimitBelowUse(
            f"{agent.name} uses {used / 1024**3:.2f} GiB of memory now: "
            f"a limit of {agent.memory} is below that. Stop it first, or choose a higher limit"
        )


def _apply(agent: Agent) -> bool:
    """Return whether the engine could."""
    try:
        starting.apply_limits(agent)
    except EngineRefused:
        return False
    return True
