"""Django's handler, with each request wholly on one thread of a fixed pool.

Django's own starts two threads for a request and hops between them and the loop at each
middleware: 5 ms for an empty list where the view takes 2. On threads that stay, connections to
the database stay too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.db import close_old_connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from trinity.measures import watch_queue

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# Verbs wait for containers here: so many may be under way before other requests wait for them.
THREADS = 64

_threads = ThreadPoolExecutor(THREADS, "request")
watch_queue("request", _threads)


class RequestHandler(ASGIHandler):
    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        # Not in Django's thread-sensitive context, which starts a thread for each request: all
        # that would run there is the signals of its begin and its end, which take no time.
        await self.handle(scope, receive, send)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads, copy_context().run, self._respond, request)

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        close_old_connections()
        return self.get_response(request)
