"""Running an operation again: a new one with the same request, under the agent's limits of now."""

from operations.errors import EnvironmentNotKept
from operations.models import Operation
from operations.requests import Isolation, NewOperation, isolation, request_operation
from trinity.audit import Actor
from trinity.encryption import Unreadable, unseal


def run_again(operation: Operation, actor: Actor, env: dict[str, str] | None = None) -> Operation:
    """Request it once more, with its own environment as long as that is kept, or with another.

    Raises EnvironmentNotKept, InvalidLimit, and what ``request_operation`` raises.
    """
    new = NewOperation(
        command=operation.command,
        env=_environment(operation) if env is None else env,
        workdir=operation.workdir,
        timeout_seconds=operation.timeout_seconds,
        isolation=_isolation(operation),
        again=operation.pk,
    )
    return request_operation(operation.agent, actor, new)


def keeps_environment(operation: Operation) -> bool:
    """Tell whether it had none, or what it has is still stored: it is erased at the end."""
    return not operation.environment_names or bool(operation.environment)


def _environment(operation: Operation) -> dict[str, str]:
    try:
        env: dict[str, str] = unseal(operation.environment) if operation.environment else {}
    except Unreadable as error:
        raise EnvironmentNotKept(operation.environment_names) from error
    if operation.environment_names and not env:
        raise EnvironmentNotKept(operation.environment_names)
    return env


def _isolation(operation: Operation) -> Isolation | None:
    if not operation.is_isolated:
        return None
    given = {"memory": operation.memory, "cpu": operation.cpu, "network": operation.network}
    return isolation(operation.agent, **given)
