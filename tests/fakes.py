"""A container runtime without containers: the same contract, in memory and processes.

Where a test needs the agent server, the real one runs as a process of this machine.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import asynccontextmanager, suppress
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
    VolumeMissing,
)
from agents.image.agent_server.processes import members
from agents.runtime import (
    Change,
    Container,
    ContainerEvent,
    ContainerStatus,
    EngineDescription,
    LogEntry,
    Network,
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
        self.is_read = threading.Event()
        self.is_read.set()
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
        self.refuses_starts = False
        self.unguardable = ""
        self.used_bytes = 1024
        self.networks = set()
        self.calls = defaultdict(int)
        self._containers = {}
        self._listeners = []
        self._lock = threading.RLock()

    # What a test does behind Trinity's back.

    def kill(self, container_id):
        _kill_all(self._get(container_id).process)

    def pause(self, container_id):
        self._pause(container_id, signal.SIGSTOP, Change.PAUSED)

    def resume(self, container_id):
        self._pause(container_id, signal.SIGCONT, Change.RESUMED)

    def run_out_of_memory(self, name, *, all_of_it=False):
        """End a container's programs as the kernel does; the server too, if it is that bad."""
        container = self._get(name)
        container.state = replace(container.state, out_of_memory=True)
        for each in members(container.process.pid, b"no mark"):
            if all_of_it or each.pid != container.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)

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
                identity = ("trinity.agent-uid", "trinity.generation", "trinity.spec")
                if all(known.labels.get(each) == spec.labels.get(each) for each in identity):
                    return known.id
            else:
                raise StartFailed(f"{name} is taken")
            container = FakeContainer(replace(spec, name=name))
            self._containers[container.state.id] = container
            for volume in (spec.workspace_volume, spec.spool_volume):
                (self.folder / volume).mkdir(parents=True, exist_ok=True)
            return container.state.id

    def start(self, container_id):
        self._enter("start")
        container = self._get(container_id)
        if self.refuses_starts:
            raise StartFailed("The fake engine cannot start it")
        with self._lock:
            if container.process is not None:
                return
            self._check_network(container.spec)
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

    def rename(self, container_id, name):
        self._enter("rename")
        container = self._get(container_id)
        names = [name, f"{name}-{container.spec.labels.get('trinity.instance')}"]
        if container.spec.name in names:
            return
        taken = {each.spec.name for each in self._containers.values()}
        for free in names:
            if free not in taken:
                container.spec = replace(container.spec, name=free)
                container.state = replace(container.state, name=free)
                return
        raise StartFailed(f"{name} is taken")

    def volume_sizes(self, *, prefix):
        self._enter("volume_sizes")
        return {
            volume.name: sum(file.stat().st_size for file in volume.rglob("*") if file.is_file())
            for volume in self.folder.iterdir()
            if volume.name.startswith(prefix)
        }

    def disk(self):
        self._enter("disk")
        return self.folder

    def remove_volume(self, name):
        self._enter("remove_volume")
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def volumes(self, *, prefix):
        self._enter("volumes")
        return sorted(path.name for path in self.folder.glob(f"{prefix}*"))

    def export_volume(self, name, into):
        self._enter("export_volume")
        if not (self.folder / name).is_dir():
            raise VolumeMissing(f"No volume {name}")
        with tarfile.open(fileobj=into, mode="w|") as archive:
            archive.add(self.folder / name, arcname=".")

    def import_volume(self, name, archive):
        self._enter("import_volume")
        (self.folder / name).mkdir(parents=True)
        with tarfile.open(fileobj=archive, mode="r|") as content:
            # There from Python 3.11.4 on, and asked for from 3.12 on.
            content.extraction_filter = getattr(tarfile, "tar_filter", None)
            content.extractall(self.folder / name)

    def prepare_network(self, network, *, instance, unguarded):
        self._enter("prepare_network")
        if unguarded or not self.unguardable:
            self.networks.add((instance, network))
        return self.unguardable

    def remove_networks(self, *, instance):
        self._enter("remove_networks")
        for container in self._containers.values():
            is_ours = container.spec.labels.get("trinity.instance") == instance
            if is_ours and container.process and container.spec.network is not Network.NONE:
                raise EngineRefused("A container uses the network")
        self.networks = {each for each in self.networks if each[0] != instance}

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

    @asynccontextmanager
    async def hold_back(self, container_id):
        container = self._get(container_id)
        container.is_read.clear()
        try:
            yield
        finally:
            container.is_read.set()

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

    def _check_network(self, spec):
        network = (spec.labels.get("trinity.instance"), spec.network)
        if spec.network is not Network.NONE and network not in self.networks:
            raise StartFailed("Its network has not been prepared")

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
            is_paused=False,
        )
        container.process = None
        self._tell(container, Change.STOPPED)

    def _read(self, container, pipe, is_stderr):
        with pipe:
            for line in pipe:
                container.is_read.wait()
                with self._lock:
                    container.log.append(LogEntry(time.time_ns(), is_stderr, line))

    def _end(self, container, name, grace_seconds):
        process, reader = container.process, container.reader
        if process is None:
            return
        if name is signal.SIGKILL:
            _kill_all(process)
        process.send_signal(name)
        # An engine resumes what it has paused, and no process that another has stopped.
        if container.state.is_paused:
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(10 if name is signal.SIGKILL else grace_seconds)
        except subprocess.TimeoutExpired:
            _kill_all(process)
        reader.join(10)

    def _pause(self, container_id, number, change):
        container = self._get(container_id)
        for each in members(container.process.pid, b"no mark"):
            with suppress(ProcessLookupError):
                os.kill(each.pid, number)
        container.state = replace(container.state, is_paused=number is signal.SIGSTOP)
        self._tell(container, change)

    def _tell(self, container, change):
        event = ContainerEvent(container.state.id, change, container.state.labels)
        for loop, queue in list(self._listeners):
            loop.call_soon_threadsafe(queue.put_nowait, event)


def _kill_all(process):
    """Kill the server and its programs: a container leaves nobody behind."""
    for each in members(process.pid, b"no mark"):
        with suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
