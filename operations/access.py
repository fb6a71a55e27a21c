"""The only door to one operation: by its id, for a user, for a purpose."""

from uuid import UUID

from agents.access import operable_agent
from operations.errors import OperationNotFound
from operations.models import Operation
from trinity import audit
from trinity.errors import Forbidden
from trinity.identity import require_scope
from trinity.models import Scope, User
from trinity.poll_tokens import Poller


def visible_operation(user: User | Poller, operation_id: UUID) -> Operation:
    visible = Operation.objects.visible_to(user).select_related("agent", "log")
    operation = visible.filter(pk=operation_id).first()
    if operation is None:
        error = OperationNotFound()
        if Operation.objects.filter(pk=operation_id).exists():
            audit.denied(audit.Actor.of(user), "see", "operation", str(operation_id), error)
        raise error
    return operation


def repeatable_operation(user: User, operation_id: UUID) -> Operation:
    """One whose request the user may make anew: who asked for it before does not matter."""
    operation = visible_operation(user, operation_id)
    operable_agent(user, operation.agent.name)
    return operation


def cancelable_operation(user: User | Poller, operation_id: UUID) -> Operation:
    operation = visible_operation(user, operation_id)
    if isinstance(user, User):
        require_scope(user, Scope.OPERATE)
    if not Operation.objects.cancelable_by(user).contains(operation):
        error = Forbidden("Only its requester and those who operate the agent can cancel it")
        raise audit.denied(audit.Actor.of(user), "cancel", "operation", str(operation_id), error)
    return operation
