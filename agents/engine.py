"""Blocking work on the engine, away from the event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections

from trinity.measures import watch_queue

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4

# Apart from asyncio's default executor, where one that waits for a container would hold up
# everything else, and from the database's readers. Questions apart from verbs: to see what
# happens must not wait behind fifty starts.
_questions = ThreadPoolExecutor(THREADS, "engine-question")
_verbs = ThreadPoolExecutor(THREADS, "engine-verb")
watch_queue("engine-question", _questions)
watch_queue("engine-verb", _verbs)


async def ask(question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what the engine answers soon."""
    return await _run(_questions, lambda: question(*args, **kwargs))


async def do(verb: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what may take as long as a container takes to start or to stop."""
    return await _run(_verbs, lambda: verb(*args, **kwargs))


async def apart(work: Coroutine[Any, Any, None]) -> None:
    """Run a group of tasks in a task of its own, so that ``heed_cancellation`` is to be trusted.

    Python 3.11's TaskGroup cancels the task that waits for it when a child fails, and does not
    take that back: the task then looks cancelled for ever.
    """
    await asyncio.create_task(work)


def heed_cancellation() -> None:
    """Raise the cancellation that ``except*`` took away together with a child's failure."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    def run() -> T:
        close_old_connections()
        return work()

    return await asyncio.get_running_loop().run_in_executor(threads, run)
