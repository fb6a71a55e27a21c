"""A loop that outlives its children's failures still ends when it is told to."""

import asyncio

import pytest

from agents import engine


async def fail():
    raise OSError


async def fail_when_cancelled():
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError


async def group_of(child):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child())


async def loop_once(child):
    try:
        await engine.apart(group_of(child))
    except* OSError:
        pass
    engine.heed_cancellation()


async def test_a_childs_failure_alone_does_not_look_like_a_cancellation():
    await loop_once(fail)


async def test_a_cancellation_is_heeded_when_the_child_fails_over_it():
    task = asyncio.create_task(loop_once(fail_when_cancelled))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
