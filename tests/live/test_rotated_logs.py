"""The engine rotates a log while it is read: nothing is lost, and nothing comes twice."""

import asyncio
import json
import shutil
import tempfile
from contextlib import aclosing, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from agents import sockets
from agents.docker_runtime import DockerRuntime, hardening
from agents.errors import AgentUnavailable
from agents.output.brake import Brake
from agents.runtime import ContainerSpec, Limits
from agents.wire import configure
from tests import engines
from tests.waiting import wait_until

pytestmark = pytest.mark.live

KEY = "7" * 64
# Numbered lines of 100 bytes, 64 at once, then a pause.
WRITER = """
import os, sys, time
lines, pause = int(sys.argv[1]), float(sys.argv[2])
for first in range(0, lines, 64):
    block = b"".join(b"line %08d %s\\n" % (n, b"x" * 85) for n in range(first, first + 64))
    while block:
        block = block[os.write(1, block):]
    time.sleep(pause)
time.sleep(600)  # The end of a container is another test's matter.
"""


@pytest.fixture
def runtime():
    runtime = DockerRuntime()
    runtime.build_image(engines.IMAGE, print)
    return runtime


@pytest.fixture
def printing(runtime):
    """Start a container that prints so many lines."""
    folder, name = Path(tempfile.mkdtemp(prefix="rotated-")), f"rotated-{uuid4().hex[:8]}"

    def start(lines, pause):
        command = ["python3", "-c", WRITER, str(lines), str(pause)]
        spec = ContainerSpec(
            name=name,
            image=engines.IMAGE,
            limits=Limits(memory_bytes=256 * 1024**2, cpus=1),
            run_directory=folder / name,
            workspace_volume=f"{name}-workspace",
            spool_volume=f"{name}-spool",
            environment={"TRINITY_GENERATION": "1", "TRINITY_COMMAND": json.dumps(command)},
        )
        sockets.remake_run_directory(spec.run_directory, KEY)
        container_id = runtime.create(spec)
        runtime.start(container_id)

        def begun():
            with suppress(AgentUnavailable):
                connection = runtime.connect(container_id, spec.run_directory)
                return configure(connection, KEY, 1, environment={})

        assert wait_until(begun, seconds=20)
        return container_id

    yield start
    runtime.remove(name)
    for volume in ("workspace", "spool"):
        runtime.remove_volume(f"{name}-{volume}")
    shutil.rmtree(folder)


async def numbers(runtime, container_id, last):
    """The numbers of the lines, read as the supervisor reads them, until the last has come."""
    found = []
    log = runtime.log(container_id, since_ns=0, follow=True)
    reading = Brake(lambda: runtime.hold_back(container_id)).through(log, is_behind=False)
    async with aclosing(reading) as batches, asyncio.timeout(150):
        async for batch in batches:
            texts = (entry.text for entry in batch if entry.text.startswith(b"line "))
            found += [int(text[5:13]) for text in texts]
            if found and found[-1] == last:
                return found
    return found


async def test_a_log_that_is_rotated_often_is_read_once(runtime, printing, monkeypatch):
    monkeypatch.setattr(hardening, "LOG_FILES", {"max-size": "1m", "max-file": "2"})
    # Four times what a file holds.
    container_id = await asyncio.to_thread(printing, 64 * 384, 0.01)
    assert await numbers(runtime, container_id, 64 * 384 - 1) == list(range(64 * 384))


@pytest.mark.timeout(200)
async def test_of_a_container_that_prints_as_fast_as_it_can_nothing_is_lost(runtime, printing):
    # Three times what the engine keeps of a log, and faster than it is read.
    lines = 64 * 18_000
    container_id = await asyncio.to_thread(printing, lines, 0)
    found = await numbers(runtime, container_id, lines - 1)
    assert found == list(range(lines))
