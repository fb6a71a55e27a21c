"""Taking requests for operations: what is asked for is checked and recorded, and no more."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from django.db import transaction

from agents import live
from agents.errors import AgentNotRunning
from agents.models import Agent, Log
from agents.wire import encode
from operations.models import Operation
from trinity.audit import Actor, recorded
from trinity.encryption import seal
from trinity.errors import Invalid

# The agent server takes a line of 1 MiB.
REQUEST_BYTES = 900_000


class InvalidRequest(Invalid):
    code = "invalid_operation"


@dataclass(frozen=True, slots=True)
class NewOperation:
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = ""
    timeout_seconds: int | None = None


def request_operation(agent: Agent, actor: Actor, new: NewOperation) -> Operation:
    """Record the operation; the supervisor runs it. Raises AgentNotRunning, InvalidRequest."""
    with recorded(actor, "run", "agent", agent.name):
        _check(new)
        if agent.status != Agent.Status.RUNNING:
            raise AgentNotRunning(f"Agent {agent.name} is {agent.status}: start it first")
        operation = _record(agent, actor, new)
    live.wake_supervisor()
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


def _record(agent: Agent, actor: Actor, new: NewOperation) -> Operation:
    with transaction.atomic():
        return Operation.objects.create(
            agent=agent,
            requester=actor.user,
            command=new.command,
            environment=seal(new.env) if new.env else b"",
            workdir=new.workdir,
            timeout_seconds=new.timeout_seconds,
            log=Log.objects.create(),
        )


def cancel(operation: Operation, actor: Actor) -> None:
    """Ask for the operation's end; raises Finished when it has ended."""
    with recorded(actor, "cancel", "operation", str(operation.pk)):
        operation.request_cancel()
    live.wake_supervisor()
