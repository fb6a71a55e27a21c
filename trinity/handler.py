"""Django's handler, with each request wholly on one thread of a fixed pool.

Django's own starts two threads for a request, and hops between them and the loop at each
middleware and at the signals of its begin and its end: 5 ms for an empty list where the view takes
2. On threads that stay, connections to the database stay too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from contextvars import copy_context
from typing import IO, Any, ParamSpec, TypeVar, cast

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.signals import request_started
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from trinity.measures import watch_queue

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")

# Verbs wait for containers here: so many may be under way before other requests wait for them.
THREADS = 64

_threads = ThreadPoolExecutor(THREADS, "request")
watch_queue("request", _threads)


class RequestHandler(ASGIHandler):
    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        response = await _on_thread(self._respond, scope, body)
        try:
            # Whoever leaves meanwhile is told nothing; what was done for him is done.
            with suppress(asyncio.CancelledError):
                await self.send_response(response, send)
        finally:
            if response.streaming:
                await _on_thread(response.close)

    def _respond(self, scope: dict[str, Any], body: IO[bytes]) -> HttpResponseBase:
        """From the signal of the request's begin to that of its end; only what streams goes on."""
        with closing(body):
            set_script_prefix(get_script_prefix(scope))
            request_started.send(sender=type(self), scope=scope)
            request, refusal = self.create_request(scope, body)
            response = cast(HttpResponseBase, self.get_response(request) if request else refusal)
        # By this it names the sender of its last signal.
        setattr(response, "_handler_class", type(self))  # noqa: B010
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        return response


async def _on_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def run() -> T:
        return work(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_threads, copy_context().run, run)
