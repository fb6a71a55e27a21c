"""The log of a container: read, followed, held back."""

import asyncio

import pytest

from agents.errors import ContainerMissing
from tests.contract.containers import TALKING, UNKNOWN, printed, read_log, start, wait_for_end


@pytest.fixture
async def talked(runtime, make_spec):
    container_id = await asyncio.to_thread(start, runtime, make_spec(main=TALKING))
    await asyncio.to_thread(wait_for_end, runtime, container_id)
    return container_id


@pytest.mark.parametrize("follow", [True, False])
async def test_the_log_of_both_streams_can_be_read_when_all_is_over(runtime, talked, follow):
    entries = await read_log(runtime, talked, follow=follow)
    assert printed(entries) == ["out 1\n", "out 2\n", "out 3\n"]
    assert printed(entries, is_stderr=True) == ["err\n"]
    times = [entry.time_ns for entry in entries]
    assert times == sorted(times)


async def test_a_log_is_read_from_a_time_on_that_time_included(runtime, talked):
    entries = await read_log(runtime, talked)
    since_ns = next(entry.time_ns for entry in entries if entry.text == b"out 2\n")
    later = await read_log(runtime, talked, since_ns=since_ns)
    assert later == [entry for entry in entries if entry.time_ns >= since_ns]
    assert printed(later) == ["out 2\n", "out 3\n"]


async def test_a_log_is_followed_to_the_containers_end(runtime, make_spec):
    container_id = await asyncio.to_thread(start, runtime, make_spec(main=TALKING))
    entries = await read_log(runtime, container_id, follow=True)
    await asyncio.to_thread(wait_for_end, runtime, container_id)
    stored = await read_log(runtime, container_id)
    # A follow may lose the tail at the end, and nothing else.
    assert entries == stored[: len(entries)]
    assert printed(entries)


@pytest.mark.parametrize("follow", [True, False])
async def test_an_unknown_container_has_no_log(runtime, follow):
    with pytest.raises(ContainerMissing):
        await read_log(runtime, UNKNOWN, follow=follow)


async def test_a_container_that_is_held_back_prints_no_more_until_it_is_let_go(runtime, make_spec):
    talks = make_spec(main=f"while :; do echo out {'x' * 4000}; done")
    container_id = await asyncio.to_thread(start, runtime, talks)

    async def until(is_reached):
        before = -1
        async with asyncio.timeout(20):
            while not is_reached(before, now := len(await read_log(runtime, container_id))):
                before = now
                await asyncio.sleep(0.3)
        return now

    await until(lambda _before, now: now > 0)
    async with runtime.hold_back(container_id):
        held = await until(lambda before, now: now == before)
    await until(lambda _before, now: now > held)


async def test_what_does_not_exist_cannot_be_held_back(runtime):
    with pytest.raises(ContainerMissing):
        async with runtime.hold_back(UNKNOWN):
            pass
