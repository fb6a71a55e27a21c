"""Taking requests for operations: what is asked for is checked and recorded, and no more."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from django.db import transaction

from agents import activities, control, live
from agents.errors import AgentPaused, InvalidLimit
from agents.limits import check_cpu, check_memory, cpus, memory_bytes
from agents.models import Activity, Agent, Log
from agents.runtime import Network
from agents.wire import encode
from operations import endings, queue
from operations.grant_models import Grant
from operations.models import Operation
from trinity.audit import Actor, failure_recorded, record, recorded
from trinity.encryption import seal
from trinity.errors import Invalid

# The agent server takes a line of 1 MiB.
REQUEST_BYTES = 900_000
# Linux takes no single argument of 128 KiB.
PROMPT_BYTES = 100_000
PROMPT = "{prompt}"


class InvalidRequest(Invalid):
    code = "invalid_operation"


class NoPromptCommand(Invalid):
    code = "no_prompt_command"

    def __init__(self) -> None:
        super().__init__(
            "The agent takes no prompts: its template names no prompt_command. "
            "Make the agent from one that does, or run a command"
        )


@dataclass(frozen=True, slots=True)
class Isolation:
    """A container of the operation's own, and what it gets."""

    memory: str
    cpu: str
    network: Network = Network.NONE


@dataclass(frozen=True, slots=True)
class NewOperation:
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = ""
    timeout_seconds: int | None = None
    isolation: Isolation | None = None
    #: The operation whose request it repeats.
    again: UUID | None = None
    #: For somebody without an account: what covers it, and the hash of his poll token.
    grant: Grant | None = None
    poll_digest: str | None = None

    @property
    def verb(self) -> str:
        return "run_again" if self.again else "run"


def prompt_command(agent: Agent, prompt: str) -> list[str]:
    """Return what a prompt becomes: it is put in as text of an argument, and no shell sees it.

    Raises NoPromptCommand, InvalidRequest.
    """
    if not agent.prompt_command:
        raise NoPromptCommand
    if not prompt.strip():
        raise InvalidRequest("There is no text in the prompt")
    if len(prompt.encode()) > PROMPT_BYTES:
        raise InvalidRequest(f"The prompt takes more than {PROMPT_BYTES} bytes")
    if not any(PROMPT in argument for argument in agent.prompt_command):
        return [*agent.prompt_command, prompt]
    return [argument.replace(PROMPT, prompt) for argument in agent.prompt_command]


def isolation(
    agent: Agent, *, memory: str | None, cpu: str | None, network: str | None
) -> Isolation:
    """Return what an isolated operation gets: never more than its agent has.

    Who may run something in an agent must not get more of the host than its owner gave it.
    Raises InvalidLimit, InvalidRequest.
    """
    if memory and memory_bytes(check_memory(memory)) > memory_bytes(agent.memory):
        raise InvalidLimit(f"memory must not be above the agent's own: {agent.memory}")
    if cpu and cpus(check_cpu(cpu)) > cpus(agent.cpu):
        raise InvalidLimit(f"cpu must not be above the agent's own: {agent.cpu}")
    if network not in {None, "", Network.NONE, Network.INTERNET}:
        raise InvalidRequest("network must be none or internet")
    wanted = Network(network or Network.NONE)
    if wanted is not Network.NONE and agent.network == Network.NONE:
        raise InvalidRequest("The agent has no network, so its isolated operations get none")
    if wanted is not Network.NONE and not agent.host.gives_network:
        raise InvalidRequest(agent.host.network_notice)
    return Isolation(memory or agent.memory, cpu or agent.cpu, wanted)


def request_operation(
    agent: Agent, actor: Actor, new: NewOperation, *, chat: Activity | None = None
) -> Operation:
    """Record the operation; the supervisor runs it.

    Raises AgentNotRunning, InvalidRequest, QueueFull.
    """
    with failure_recorded(actor, new.verb, "agent", agent.name):
        _check(new)
        control.check(agent.host)
        agent.host.check_disk()
        # An isolated one has a container of its own.
        if not new.isolation:
            agent.check_running()
        operation, activity = _record(agent, actor, new, chat)
    live.wake_supervisor()
    activities.announce(activity)
    return operation


def _check(new: NewOperation) -> None:
    if not new.command or not new.command[0]:
        raise InvalidRequest("command must name a program, as a list of strings")
    if len(encode({"command": new.command, "env": new.env})) > REQUEST_BYTES:
        raise InvalidRequest(f"command and env together take more than {REQUEST_BYTES} bytes")
    for name in new.env:
        if not name or "=" in name or name.startswith("TRINITY_"):
            raise InvalidRequest(f"{name!r} cannot be the name of an environment variable here")
    path = PurePosixPath(new.workdir)
    if path.is_absolute() or ".." in path.parts:
        raise InvalidRequest("workdir must lie below the workspace: a relative path without '..'")


def _record(
    agent: Agent, actor: Actor, new: NewOperation, chat: Activity | None
) -> tuple[Operation, Activity]:
    with transaction.atomic():
        queue.check_room(agent.host, actor)
        repeats = f"Operation {new.again}" if new.again else ""
        record(actor, new.verb, "agent", agent.name, detail=repeats)
        operation = Operation.objects.create(
            agent=agent,
            requester=actor.user,
            command=new.command,
            environment=seal(new.env) if new.env else b"",
            environment_names=sorted(new.env),
            workdir=new.workdir,
            timeout_seconds=new.timeout_seconds,
            **_isolated(new.isolation),
            log=Log.objects.create(),
            requested_from=actor.address,
            token_name=actor.token.name if actor.token else "",
            grant=new.grant,
            signer=actor.signer,
            poll_digest=new.poll_digest,
        )
        activity = activities.begin(
            agent,
            Activity.Type.OPERATION,
            actor,
            details={"program": new.command[0][:200]},
            parent=chat,
            execution=operation.pk,
        )
        if chat:
            activities.leave_to_execution(chat, operation.pk)
    return operation, activity


def cancel(operation: Operation, actor: Actor) -> None:
    """End what waits, at once; ask for the end of what runs. Raises Finished, AgentPaused."""
    with recorded(actor, "cancel", "operation", str(operation.pk)):
        control.check(operation.agent.host)
        ended = _cancel_waiting(operation)
        if ended is None:
            _check_not_paused(operation)
            operation.request_cancel()
    if ended is None:
        live.wake_supervisor()
        return
    endings.announce_from_thread(operation)
    for activity in ended:
        activities.announce(activity)


def _check_not_paused(operation: Operation) -> None:
    """Refuse what could not be done in time: programs that are given none cannot be ended.

    Those of an operation's own container can, with it.
    """
    agent = operation.agent
    if agent.is_paused and not operation.is_isolated and not operation.is_finished:
        raise AgentPaused(agent.name)


def _cancel_waiting(operation: Operation) -> list[Activity] | None:
    """Return the activities that ended with it; None when it waits no longer."""
    with transaction.atomic():
        if operation.cancel_waiting():
            return endings.end_activities(operation, Operation.Status.CANCELED)
    return None


def _isolated(isolation: Isolation | None) -> dict[str, Any]:
    if isolation is None:
        return {}
    given = {"memory": isolation.memory, "cpu": isolation.cpu, "network": isolation.network}
    return {"is_isolated": True, **given}
