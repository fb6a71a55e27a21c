"""Processes as the kernel shows them: who belongs to an operation, who has died."""

import asyncio
import ctypes
import os
import resource
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
# Of real-time scheduling, which nobody does here; to an ordinary process it is no limit at all.
MARKING_LIMIT = resource.RLIMIT_RTTIME
MARKING_LIMIT_NAME = b"Max realtime timeout"


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    state: str
    parent: int
    group: int
    session: int

    @property
    def is_alive(self) -> bool:
        return self.state not in {"Z", "X"}


class Reaper:
    """Collects every dead child, also the strays that were handed to us."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[subprocess.Popen[bytes], asyncio.Future[int]]]
        self._watched = {}

    def watch(self, process: "subprocess.Popen[bytes]") -> asyncio.Future[int]:
        """Return a future of the exit code, negative for a signal."""
        future = asyncio.get_running_loop().create_future()
        self._watched[process.pid] = process, future
        return future

    def collect(self) -> None:
        with suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self._bury(dead.si_pid)

    def _bury(self, pid: int) -> None:
        if pid not in self._watched:
            os.waitpid(pid, 0)
            return
        process, future = self._watched.pop(pid)
        # Before it is reaped: until then its number, which is the group's, is
        # not given to another process.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # Popen would otherwise wait for this number again, whoever has it then.
        process.returncode = code
        future.set_result(code)


def protect_this_process() -> None:
    """Hide our memory and environment from the operations; adopt their strays.

    The default seccomp profile permits ptrace between processes of one user.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_CHILD_SUBREAPER, 1)):
        if prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl failed")


@contextmanager
def numbered() -> Iterator[int]:
    """Give a number that what is started inside keeps, with all that it starts.

    It is a limit, which a process of its user can lower and never raise: also a daemon that has
    left its session, its parents and its environment still has it.
    """
    before = resource.getrlimit(MARKING_LIMIT)[1]
    # At first by chance: where servers share a machine, as in tests, so do their processes.
    number = before - 1 if before != resource.RLIM_INFINITY else 2**61 + secrets.randbits(61)
    resource.setrlimit(MARKING_LIMIT, (number, number))
    try:
        yield number
    finally:
        # What we start for ourselves must not be taken for it.
        resource.setrlimit(MARKING_LIMIT, (number - 1, number - 1))


def members(leader: int, mark: bytes, number: int | None = None) -> list[Process]:
    """Living processes of the leader's session, with the mark or number, or descended from such.

    ``mark`` is a ``NAME=value`` of the environment, which a program that makes
    itself a daemon keeps as a rule.
    """
    processes = [process for process in _all_processes() if process.is_alive]
    found = {
        process.pid: process
        for process in processes
        if leader in (process.group, process.session)
        or _is_marked(process.pid, mark)
        or _is_numbered(process.pid, number)
    }
    while children := {
        process.pid: process
        for process in processes
        if process.parent in found and process.pid not in found
    }:
        found |= children
    return list(found.values())


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _all_processes() -> list[Process]:
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        # Out of descriptors: the group is reached without a list.
        return []
    own = os.getpid()
    return [found for pid in pids if pid != own and (found := _read(pid))]


def _read(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name before the last bracket is the program's own choice.
    state, parent, group, session = stat.rpartition(")")[2].split(maxsplit=4)[:4]
    return Process(pid, state, int(parent), int(group), int(session))


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _is_numbered(pid: int, number: int | None) -> bool:
    if number is None:
        return False
    try:
        limits = Path(f"/proc/{pid}/limits").read_bytes()
    except OSError:
        return False
    # Its name, the soft limit, the hard one.
    told = limits.partition(MARKING_LIMIT_NAME)[2].split(maxsplit=2)
    return told[1:2] == [b"%d" % number]
