"""What is served: Django's handler, and beside it streams and the live socket."""

import os
import re
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trinity.settings")
django.setup(set_prefix=False)

# Only now: the apps' modules need Django to be set up.
from django.urls import path, re_path  # noqa: E402

from agents import topics as agent_topics  # noqa: E402
from agents import trail  # noqa: E402
from agents.consumers import LiveConsumer  # noqa: E402
from agents.output import log_streams  # noqa: E402
from agents.responses import readable_elsewhere  # noqa: E402
from agents.workspace import file_streams  # noqa: E402
from operations import chat  # noqa: E402
from operations import topics as operation_topics  # noqa: E402
from operations.events import operation_stream  # noqa: E402
from operations.log_file import log_download  # noqa: E402
from trinity.handler import RequestHandler  # noqa: E402

django_application = RequestHandler()


def beside_django(answer: Any, method: str = "GET") -> Any:
    """Let an application answer one method; Django knows what to say to any other."""

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == method:
            await answer(scope, receive, readable_elsewhere(scope, send))
        else:
            await django_application(scope, receive, send)

    return answered


UPLOADS = re.compile(r"/api/agents/[^/]+/files")


def is_upload(method: str, path: str) -> bool:
    """Tell whether the server passes a body on while it arrives: one that is a file."""
    return method == "PUT" and UPLOADS.fullmatch(path) is not None


RESOLVERS = (agent_topics.resolve, operation_topics.resolve)

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("api/agents/<str:name>/chat", chat.answered(django_application)),
                path("api/audit.csv", beside_django(trail.audit_file)),
                path("api/agents/<str:name>/audit.csv", beside_django(trail.agent_audit_file)),
                path("api/agents/<str:name>/files", beside_django(file_streams.upload, "PUT")),
                path("api/agents/<str:name>/files/download", beside_django(file_streams.download)),
                path("api/agents/<str:name>/logs/stream", beside_django(log_streams.log_stream)),
                path(
                    "api/agents/<str:name>/logs/download", beside_django(log_streams.log_download)
                ),
                path(
                    "api/v1/operations/<uuid:operation_id>/stream", beside_django(operation_stream)
                ),
                path(
                    "api/v1/operations/<uuid:operation_id>/logs/download",
                    beside_django(log_download),
                ),
                re_path("", django_application),  # type: ignore[arg-type]  # ASGI, no view
            ]
        ),
        "websocket": URLRouter([path("ws", LiveConsumer.as_asgi(resolvers=RESOLVERS))]),
    }
)
