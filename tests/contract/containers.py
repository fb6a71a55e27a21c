"""Containers of the contract: started, read, waited for."""

import asyncio
from contextlib import aclosing

from agents.errors import AgentUnavailable
from agents.runtime import ContainerStatus
from agents.wire import configure
from tests.waiting import wait_until

KEY = "7" * 64
UNKNOWN = "f" * 64
TALKING = "for i in 1 2 3; do echo out $i; sleep 0.01; done; echo err >&2; exit 3"


def start(runtime, spec):
    """Start a container and wait until its server has what its own program waits for."""
    container_id = runtime.create(spec)
    runtime.start(container_id)

    def answers():
        try:
            connection = runtime.connect(container_id, spec.run_directory)
            return configure(connection, KEY, 7, environment={})
        except AgentUnavailable:
            return None

    assert wait_until(answers, seconds=20)
    return container_id


def wait_for_end(runtime, container_id):
    wait_until(lambda: runtime.inspect(container_id).status is ContainerStatus.EXITED, seconds=20)


async def read_log(runtime, container_id, *, since_ns=0, follow=False):
    found = []
    log = runtime.log(container_id, since_ns=since_ns, follow=follow)
    async with aclosing(log) as batches, asyncio.timeout(20):
        async for batch in batches:
            found += batch
    return found


def printed(entries, *, is_stderr=False):
    """What the container's own program wrote, without the words of its server."""
    lines = [entry.text.decode() for entry in entries if entry.is_stderr is is_stderr]
    return [line for line in lines if line.startswith(("out", "err\n"))]
