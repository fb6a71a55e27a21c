"""Blocking work on the engine, away from the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

# Starts do about nine a second whatever the parallelism; stops mostly wait.
THREADS = 8

# Apart from asyncio's default executor, where one that waits for a container would hold up
# everything else, and from the database's readers.
_threads = ThreadPoolExecutor(THREADS, "engine")


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    def run() -> T:
        close_old_connections()
        return work(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_threads, run)
