"""What becomes of a container is told."""

import asyncio
from contextlib import aclosing

import pytest

from agents.runtime import Change
from tests.contract.containers import start


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("start", Change.STARTED),
        ("stop", Change.STOPPED),
        ("kill", Change.STOPPED),
        ("pause", Change.PAUSED),
        ("resume", Change.RESUMED),
        ("remove", Change.REMOVED),
    ],
)
async def test_a_change_is_told_within_a_second(runtime, make_spec, instance, behind, what, change):
    other = await asyncio.to_thread(start, runtime, make_spec(of="another"))
    spec = make_spec()
    container_id = await asyncio.to_thread(runtime.create, spec)
    if what != "start":
        await asyncio.to_thread(start, runtime, spec)
    if what == "resume":
        await asyncio.to_thread(behind["pause"], container_id)
    async with aclosing(runtime.events(instance=instance)) as events:
        assert await anext(events) is None
        await asyncio.to_thread(runtime.remove, other)
        verb = behind.get(what) or getattr(runtime, what)
        await asyncio.to_thread(verb, container_id)
        async with asyncio.timeout(1):
            async for event in events:
                assert event.container_id == container_id
                if event.change is change:
                    assert event.labels["trinity.instance"] == instance
                    return
