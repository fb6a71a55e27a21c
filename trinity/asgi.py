"""What is served: Django's handler, and beside it streams and the live socket."""

import os
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trinity.settings")
django.setup(set_prefix=False)

# Only now: the apps' modules need Django to be set up.
from django.urls import path, re_path  # noqa: E402

from agents import log_streams  # noqa: E402
from agents import topics as agent_topics  # noqa: E402
from agents.consumers import LiveConsumer  # noqa: E402
from operations import topics as operation_topics  # noqa: E402
from operations.events import operation_stream  # noqa: E402
from trinity.handler import RequestHandler  # noqa: E402

django_application = RequestHandler()


def beside_django(answer: Any) -> Any:
    """Let an application answer GET; Django knows what to say to any other method."""

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        answering = answer if scope["method"] == "GET" else django_application
        await answering(scope, receive, send)

    return answered


RESOLVERS = (agent_topics.resolve, operation_topics.resolve)

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("api/agents/<str:name>/logs/stream", beside_django(log_streams.log_stream)),
                path(
                    "api/agents/<str:name>/logs/download", beside_django(log_streams.log_download)
                ),
                path(
                    "api/v1/operations/<uuid:operation_id>/stream", beside_django(operation_stream)
                ),
                re_path("", django_application),  # type: ignore[arg-type]  # ASGI, no view
            ]
        ),
        "websocket": URLRouter([path("ws", LiveConsumer.as_asgi(resolvers=RESOLVERS))]),
    }
)
