"""What is served: Django's handler, and beside it streams and the live socket."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trinity.settings")
django_application = get_asgi_application()

# Only now: the apps' modules need Django to be set up.
from django.urls import path, re_path  # noqa: E402

from agents import topics as agent_topics  # noqa: E402
from agents.consumers import LiveConsumer  # noqa: E402
from operations import topics as operation_topics  # noqa: E402
from operations.events import operation_stream  # noqa: E402

RESOLVERS = (agent_topics.resolve, operation_topics.resolve)

application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("api/v1/operations/<uuid:operation_id>/stream", operation_stream),  # type: ignore[arg-type]  # ASGI, no view
                re_path("", django_application),  # type: ignore[arg-type]  # likewise
            ]
        ),
        "websocket": URLRouter([path("ws", LiveConsumer.as_asgi(resolvers=RESOLVERS))]),
    }
)
