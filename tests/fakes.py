"""A container runtime without containers: the same contract, in memory and processes.

Where a test needs the agent server, the real one runs as a process of this machine.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from agents import sockets
from agents.errors import (
    ContainerMissing,
    EngineRefused,
    EngineUnavailable,
    ImageMissing,
    StartFailed,
)
from agents.runtime import (
    Change,
    Container,
    ContainerEvent,
    ContainerStatus,
    EngineDescription,
    LogEntry,
    Usage,
)
from tests.environment import FAST

SERVER = Path(__file__).resolve().parent.parent / "agents" / "image"
_numbers = count(1)


class FakeContainer:
    def __init__(self, spec):
        self.spec = spec
        self.process = None
        self.log = []
        self.reader = None
        self.state = Container(
            id=f"{next(_numbers):064x}",
            name=spec.name,
            status=ContainerStatus.CREATED,
            labels=dict(spec.labels),
        )


class FakeRuntime:
    """``away`` makes every call fail as a stopped engine does; ``calls`` counts them by name."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="trinity-fake-", dir=FAST))
        self.images = {"trinity-agent-base:latest"}
        self.away = False
        self.refuses_limits = False
        self.used_bytes = 1024
        self.calls = defaultdict(int)
        self._containers = {}
        self._listeners = []
        self._lock = threading.RLock()

    # What a test does behind Trinity's back.

    def kill(self, container_id):
        self._get(container_id).process.kill()

    def close(self):
        for container in list(self._containers.values()):
            self._end(container, signal.SIGKILL, 0)
        shutil.rmtree(self.folder, ignore_errors=True)

    # The contract.

    def check(self):
        self._enter("check")

    def describe(self):
        self._enter("describe")
        return EngineDescription("fake", "fake", os.cpu_count(), 8 * 1024**3)

    def has_image(self, image):
        self._enter("has_image")
        return image in self.images

    def build_image(self, image, report):
        self._enter("build_image")
        report(f"building {image}")
        self.images.add(image)

    def create(self, spec):
        self._enter("create")
        if spec.image not in self.images:
            raise ImageMissing(f"No such image: {spec.image}")
        with self._lock:
            taken = {container.spec.name: container for container in self._containers.values()}
            for name in (spec.name, f"{spec.name}-{spec.labels.get('trinity.instance')}"):
                if name not in taken:
                    break
                known = taken[name].state
                if known.labels.get("trinity.spec") == spec.labels.get("trinity.spec"):
                    return known.id
            else:
                raise StartFailed(f"{name} is taken")
            container = FakeContainer(replace(spec, name=name))
            self._containers[container.state.id] = container
            return container.state.id

    def start(self, container_id):
        self._enter("start")
        container = self._get(container_id)
        with self._lock:
            if container.process is not None:
                return
            self._begin(container)
        self._tell(container, Change.STARTED)

    def stop(self, container_id, *, grace_seconds=10):
        self._enter("stop")
        if container_id in self._containers:
            self._end(self._containers[container_id], signal.SIGTERM, grace_seconds)

    def remove(self, container_id):
        self._enter("remove")
        container = self._find(container_id)
        if container:
            self._end(container, signal.SIGKILL, 0)
            del self._containers[container.state.id]
            self._tell(container, Change.REMOVED)

    def update(self, container_id, limits):
        self._enter("update")
        container = self._get(container_id)
        if self.refuses_limits:
            raise EngineRefused("The fake engine refuses")
        container.spec = replace(container.spec, limits=limits)

    def remove_volume(self, name):
        self._enter("remove_volume")

    def inspect(self, container_id):
        self._enter("inspect")
        return self._get(container_id).state

    def containers(self, *, instance):
        self._enter("containers")
        return [
            replace(container.state, pid=None, exit_code=None)
            for container in self._containers.values()
            if container.state.labels.get("trinity.instance") == instance
        ]

    def connect(self, container_id, run_directory):
        self.calls["connect"] += 1
        return sockets.connect(run_directory)

    async def events(self, *, instance):
        self._enter("events")
        queue, loop = asyncio.Queue(), asyncio.get_running_loop()
        self._listeners.append((loop, queue))
        try:
            yield None
            while True:
                event = await queue.get()
                if event.labels.get("trinity.instance") == instance:
                    yield event
        finally:
            self._listeners.remove((loop, queue))

    async def log(self, container_id, *, since_ns, follow):
        self._enter("log")
        container = self._get(container_id)
        position = 0
        while True:
            ended = container.process is None
            entries = container.log[position:]
            position += len(entries)
            if wanted := [entry for entry in entries if entry.time_ns >= since_ns]:
                yield wanted
            if ended or not follow:
                return
            await asyncio.sleep(0.01)

    def usage(self, containers):
        self._enter("usage")
        return {
            container.id: Usage(
                at=time.monotonic(),
                cpu_seconds=1.0,
                memory_bytes=self.used_bytes,
                memory_limit_bytes=self._get(container.id).spec.limits.memory_bytes,
            )
            for container in containers
            if container.pid and self._find(container.id)
        }

    # How it is done.

    def _enter(self, name):
        self.calls[name] += 1
        if self.away:
            raise EngineUnavailable("The fake engine is away")

    def _find(self, name_or_id):
        for container in self._containers.values():
            if name_or_id in {container.state.id, container.spec.name}:
                return container
        return None

    def _get(self, container_id):
        container = self._find(container_id)
        if container is None:
            raise ContainerMissing(f"No such container: {container_id}")
        return container

    def _begin(self, container):
        spec = container.spec
        folders = {name: self.folder / name for name in (spec.spool_volume, spec.workspace_volume)}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "TRINITY_RUN_DIR": str(spec.run_directory),
            "TRINITY_SPOOL_DIR": str(folders[spec.spool_volume]),
            "TRINITY_WORKSPACE": str(folders[spec.workspace_volume]),
            **spec.environment,
        }
        container.process = subprocess.Popen(
            [sys.executable, "-u", "-m", "agent_server"],
            cwd=SERVER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        container.state = replace(
            container.state,
            status=ContainerStatus.RUNNING,
            exit_code=0,
            pid=container.process.pid,
            started_at=datetime.now(UTC),
        )
        container.reader = threading.Thread(
            target=self._watch, args=(container, container.process), daemon=True
        )
        container.reader.start()

    def _watch(self, container, process):
        errors = threading.Thread(target=self._read, args=(container, process.stderr, True))
        errors.start()
        self._read(container, process.stdout, False)
        errors.join()
        code = process.wait()
        container.state = replace(
            container.state,
            status=ContainerStatus.EXITED,
            # As an engine says it: 128 and the number of the signal.
            exit_code=128 - code if code < 0 else code,
            pid=None,
            finished_at=datetime.now(UTC),
        )
        container.process = None
        self._tell(container, Change.STOPPED)

    def _read(self, container, pipe, is_stderr):
        with pipe:
            for line in pipe:
                with self._lock:
                    container.log.append(LogEntry(time.time_ns(), is_stderr, line))

    def _end(self, container, name, grace_seconds):
        process, reader = container.process, container.reader
        if process is None:
            return
        process.send_signal(name)
        try:
            process.wait(grace_seconds or 10)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(10)

    def _tell(self, container, change):
        event = ContainerEvent(container.state.id, change, container.state.labels)
        for loop, queue in list(self._listeners):
            loop.call_soon_threadsafe(queue.put_nowait, event)
