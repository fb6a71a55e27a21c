"""One operation from its launch to its recorded end."""

import asyncio
import logging
import os
import signal
import subprocess
import time
from contextlib import closing, suppress

from . import processes
from .processes import Reaper
from .requests import Spec
from .results import Result, ResultReader
from .spool import STDERR, STDOUT, End, Folder, Output

READ_BYTES = 64 * 1024
TIMEOUT_GRACE_SECONDS = 10
# For a program that has told its result to end by itself, before it is ended.
LINGER_SECONDS = 1
DONE_GRACE_SECONDS = 10
DRAIN_SECONDS = 2
SWEEP_SECONDS = 2
SWEEP_INTERVAL_SECONDS = 0.01

logger = logging.getLogger(__name__)


class Operation:
    """What is known of an operation, and the way to signal it while it runs."""

    def __init__(self, folder: Folder, *, end: End | None = None) -> None:
        self.folder = folder
        self.end = end
        self.size = 0
        # Set, with no memory, whenever there is more to read or the end is there.
        self.changed = asyncio.Event()
        self.launched = asyncio.Event()
        self._leader: int | None = None
        self._number: int | None = None
        self._exited: asyncio.Future[int] | None = None
        self._verdict: tuple[str, str] | None = None
        self._result: Result | None = None

    @classmethod
    def restore(cls, folder: Folder) -> "Operation":
        """Return an operation of an earlier run; one without an end is lost."""
        operation = cls(folder, end=folder.read_end())
        operation.size = folder.recover()
        operation.launched.set()
        if operation.end is None:
            detail = "the agent server ended before the operation"
            operation.end = End(None, "lost", detail, time.time(), truncated=False)
            operation._record(operation.end)
        return operation

    @property
    def id(self) -> str:
        return self.folder.path.name

    @property
    def state(self) -> str:
        return "finished" if self.end else "running"

    async def run(
        self, spec: Spec, output: Output, environment: dict[str, str], reaper: Reaper
    ) -> None:
        """See the operation through to its recorded end."""
        with closing(output):
            code = await self._execute(spec, output, environment, reaper)
        reason, detail = self._verdict or ("exited", "")
        end = End(code, reason, detail, time.time(), output.is_truncated, self._result)
        # In a thread: the disk may take its time, the pipes may not wait.
        await asyncio.to_thread(self._record, end)
        self.end = end
        self.launched.set()
        self.changed.set()

    def terminate(self, grace_seconds: float, reason: str, detail: str = "") -> None:
        """Send TERM, later KILL; the first reason to be given is the one recorded."""
        self._verdict = self._verdict or (reason, detail)
        self.signal(signal.SIGTERM)
        self.kill_after(grace_seconds)

    def kill_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.signal, signal.SIGKILL)

    def give_reason(self, reason: str) -> None:
        if self.end is None:
            self._verdict = self._verdict or (reason, "")

    def take_result(self, result: Result) -> None:
        """The program says that it is done: with it, or soon without it."""
        self._result = result
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._end_lingering)

    def _end_lingering(self) -> None:
        if self._exited and not self._exited.done():
            self.terminate(DONE_GRACE_SECONDS, "done")

    def signal(self, number: int) -> None:
        """Signal the process group and whoever has left it."""
        if self.end or self._leader is None or self._exited is None:
            return
        # Looked for first: children of the dead no longer show whose they were.
        found = processes.members(self._leader, self._mark, self._number)
        if not self._exited.done():
            os.killpg(self._leader, number)
        for process in found:
            # Asked again: it may have left the group since it was found.
            if self._exited.done() or processes.group_of(process.pid) != self._leader:
                _kill(process.pid, number)

    @property
    def _mark(self) -> bytes:
        return f"TRINITY_OPERATION={self.id}".encode()

    def _launch(self, spec: Spec, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        own = {"TRINITY_OPERATION": self.id, "TRINITY_OUT": str(self.folder.out)}
        return subprocess.Popen(  # noqa: S603 - to run what it is told is its purpose
            spec.command,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=spec.workdir or self.folder.work,
            env=environment | spec.environment | own,
            start_new_session=True,
            # Python's descriptors close themselves at exec. To close them one by
            # one needs /proc/self/fd, which a process that is not dumpable may
            # not read: the fallback tries a million numbers.
            close_fds=False,
        )

    async def _execute(
        self, spec: Spec, output: Output, environment: dict[str, str], reaper: Reaper
    ) -> int | None:
        if self._verdict:
            return None
        try:
            with processes.numbered() as self._number:
                process = self._launch(spec, environment)
        except (OSError, ValueError) as error:
            self._verdict = "start_failed", _describe(error)
            return None
        return await self._attend(process, spec, output, reaper)

    async def _attend(
        self,
        process: "subprocess.Popen[bytes]",
        spec: Spec,
        output: Output,
        reaper: Reaper,
    ) -> int:
        self._leader = process.pid
        self._exited = reaper.watch(process)
        pipes = _Pipes(process, self, output)
        self.launched.set()
        await asyncio.wait([self._exited], timeout=spec.timeout_seconds)
        if not self._exited.done():
            detail = f"ran longer than {spec.timeout_seconds:g} s"
            self.terminate(TIMEOUT_GRACE_SECONDS, "timeout", detail)
        code = await self._exited
        await self._sweep(process.pid)
        await pipes.drain()
        return code

    async def _sweep(self, leader: int) -> None:
        """Kill what the main process left behind, until nothing of it is found."""
        deadline = time.monotonic() + SWEEP_SECONDS
        while found := processes.members(leader, self._mark, self._number):
            for process in found:
                _kill(process.pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(SWEEP_INTERVAL_SECONDS)

    def _record(self, end: End) -> None:
        try:
            self.folder.write_end(end)
        except OSError as error:
            # A full disk, or a program that removed its own spool: those who
            # follow still learn the end, only a restart will call it lost.
            logger.warning("the end of %s could not be recorded: %s", self.id, error)


class _Pipes:
    """Moves what a process prints into its spool file."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        operation: Operation,
        output: Output,
    ) -> None:
        self._operation = operation
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._all_closed = asyncio.Event()
        self._results: ResultReader | None = ResultReader()
        self._open = {}
        for kind, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._open[kind] = pipe
                self._loop.add_reader(pipe.fileno(), self._move, kind)

    async def drain(self) -> None:
        """Read to the end, but do not wait for ever on one who has escaped us."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._all_closed.wait()
        for kind in list(self._open):
            self._close(kind)

    def _move(self, kind: int) -> None:
        try:
            payload = os.read(self._open[kind].fileno(), READ_BYTES)
        except BlockingIOError:
            return
        if not payload:
            self._close(kind)
            return
        self._output.append(kind, payload)
        self._operation.size = self._output.size
        self._operation.changed.set()
        if kind == STDOUT and self._results:
            self._take(self._results.feed(payload))

    def _take(self, result: Result | None) -> None:
        if result:
            self._results = None
            self._operation.take_result(result)

    def _close(self, kind: int) -> None:
        if kind == STDOUT and self._results:
            self._take(self._results.finish())
        pipe = self._open.pop(kind)
        self._loop.remove_reader(pipe.fileno())
        pipe.close()
        if not self._open:
            self._all_closed.set()


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}"
    return str(error)
