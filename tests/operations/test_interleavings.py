"""Output, exit, cancel, timeout, lost drivers and lost servers in any order: one end, once."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents import lifecycle
from agents.containers import run_directory
from agents.database import read
from agents.models import Activity, Agent, Log
from operations import deadlines, execution, requests
from operations.errors import Finished
from operations.requests import NewOperation
from tests.factories import make_agent
from tests.operations.driving import executing, finished, lines_of, until
from tests.operations.sockets import page_of
from tests.operations.streams import lines_in, viewing
from trinity.audit import SYSTEM
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)

# Counts, ends when it is told to, and with its agent server at the latest.
COUNTING = [
    "sh",
    "-c",
    "n=0; while [ ! -e stop ] && [ -d /proc/$PPID ]; do n=$((n+1)); echo $n; sleep 0.02; done",
]
EVENTS = ["print", "exit", "cancel", "replace the driver", "hide the server", "kill the container"]
TERMINAL = {"succeeded", "failed", "canceled"}


# Each example has an agent of its own, of one runtime.
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(EVENTS), max_size=6), st.booleans())
async def test_it_ends_once_whatever_happens_in_whatever_order(containers, happening, has_timeout):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execution, "RETRY_SECONDS", 0.05)
        patched.setattr(deadlines, "GRACE_SECONDS", 0.2)
        course = await Course.begin(containers, timeout_seconds=1 if has_timeout else None)
        await course.run(happening)
    containers.remove(course.agent.container_id)


class Course:
    """What happens to one operation from its request to its end, and who watches."""

    def __init__(self, containers, agent, operation):
        self.containers, self.agent, self.operation = containers, agent, operation
        self.cancels, self.epoch, self.has_container = 0, 0, True

    @classmethod
    async def begin(cls, containers, **fields):
        def request():
            agent = make_agent()
            lifecycle.start(agent, SYSTEM)
            agent = Agent.objects.select_related("host", "owner").get(pk=agent.pk)
            new = NewOperation(command=COUNTING, **fields)
            return agent, requests.request_operation(agent, SYSTEM, new)

        return cls(containers, *await read(request))

    async def run(self, happening):
        async with (
            page_of(self.agent.owner) as page,
            viewing(self.operation.pk, self.agent.owner) as viewer,
            AsyncExitStack() as self.driver,
        ):
            await page.subscribe(f"operation:{self.operation.pk}")
            await viewer.status()
            await self.replace_the_driver()
            for event in happening:
                await getattr(self, event.replace(" ", "_"))()
            await self.exit()
            await finished(self.operation)
            seen = await viewer.events()
            told = [frame for frame in await page.settled() if "status" in frame["data"]]
        await self.check(seen, told)

    async def check(self, seen, told):
        lines = await lines_of(self.operation)
        assert lines == [str(number) for number in range(1, len(lines) + 1)]
        assert lines_in(seen) == list(enumerate(lines, 1))
        ends = [event for event in seen if event[1]["type"] == "end"]
        assert [(seq, end["status"]) for seq, end in ends] == [
            (len(lines) + 1, self.operation.status)
        ]
        # A driver that dies between the record of an end and its announcement tells nobody; those
        # who watch look again by themselves.
        announced = [each["data"]["status"] for each in told]
        assert [each for each in announced if each in TERMINAL] in ([self.operation.status], [])
        await read(self.check_records)

    def check_records(self):
        [activity] = Activity.objects.filter(related_execution_id=str(self.operation.pk))
        assert activity.completed_at is not None
        told = AuditEvent.objects.filter(object_name=str(self.operation.pk), verb="cancel")
        assert told.count() == self.cancels

    # What happens.

    async def print(self):
        before = await read(self.lines)
        await until(lambda: self.is_finished() or self.lines() > before)

    def lines(self):
        return Log.objects.get(pk=self.operation.log_id).last_seq

    def is_finished(self):
        self.operation.refresh_from_db()
        return self.operation.is_finished

    async def exit(self):
        await until(lambda: self.is_finished() or self.tell_it_to_end())

    def tell_it_to_end(self):
        folders = list(self.containers.folder.glob(f"**/operations/{self.operation.pk}/work"))
        for work in folders:
            with suppress(FileNotFoundError):
                (work / "stop").touch()
        return folders

    async def cancel(self):
        self.cancels += 1
        with suppress(Finished):
            await read(requests.cancel, self.operation, SYSTEM)

    async def replace_the_driver(self):
        await self.driver.aclose()
        self.epoch += 1
        await self.driver.enter_async_context(executing(self.agent, epoch=self.epoch))

    async def hide_the_server(self):
        socket = run_directory(self.agent) / "agent.sock"
        hidden = socket.with_name("hidden")
        with suppress(FileNotFoundError):
            socket.rename(hidden)
            await asyncio.sleep(0.1)
            hidden.rename(socket)

    async def kill_the_container(self):
        if not self.has_container:
            return
        self.has_container = False
        self.containers.kill(self.agent.container_id)
        # What the watch of the engine records.
        await read(self.agent.record, status="stopped")
