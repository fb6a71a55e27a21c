"""An operation's log as a file, beside Django's handler."""

from agents.output.log_streams import send_log
from agents.responses import Receive, Scope, Send, admitted
from operations.access import visible_operation
from operations.models import Operation
from trinity.models import User
from trinity.poll_tokens import Poller


async def log_download(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer ``GET /api/v1/operations/{id}/logs/download``."""
    operation = await admitted(scope, send, _asked_for, _asked_for)
    if operation is not None:
        await send_log(scope, receive, send, operation.log_id, name=str(operation.pk))


def _asked_for(user: User | Poller, scope: Scope) -> Operation:
    return visible_operation(user, scope["url_route"]["kwargs"]["operation_id"])
