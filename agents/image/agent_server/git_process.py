"""Runs git: in a session of its own, with bounds on its time and on what it may say."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .processes import Reaper
from .wire import Refused

GRACE_SECONDS = 2
MAX_OUTPUT_BYTES = 32 * 1024 * 1024


class GitFailed(Refused):
    """Git ended with an error, ran too long or said too much."""

    def __init__(self, detail: str, *, output: str = "") -> None:
        super().__init__("git_failed", detail)
        self.output = output


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: bytes
    errors: str


class _Sink(asyncio.Protocol):
    """Keeps what comes out of a pipe, up to the limit."""

    def __init__(self, on_excess: Callable[[], None]) -> None:
        self.kept = bytearray()
        self.is_full = False
        self.closed = asyncio.get_running_loop().create_future()
        self._on_excess = on_excess

    def data_received(self, data: bytes) -> None:
        if len(self.kept) + len(data) > MAX_OUTPUT_BYTES:
            self.is_full = True
            self._on_excess()
        else:
            self.kept += data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def run(
    command: list[str],
    environment: dict[str, str],
    reaper: Reaper,
    *,
    directory: Path,
    seconds: float,
    stdin: Path | None = None,
) -> Result:
    """Return how it ended; raise GitFailed when it goes beyond a bound."""
    try:
        process = _launch(command, environment, directory, stdin)
    except OSError as error:
        raise GitFailed(f"git cannot be run: {error.strerror}") from error
    exited = reaper.watch(process)

    def end() -> None:
        _signal(process.pid, exited, signal.SIGTERM)

    try:
        async with asyncio.timeout(seconds):
            out, errors = [await _listen(pipe, end) for pipe in (process.stdout, process.stderr)]
            # Whoever else holds the pipes is killed with the death of git itself.
            # Shielded: the reaper sets it later, also when nobody waits any more.
            code = await asyncio.shield(exited)
            await asyncio.gather(out.closed, errors.closed)
    except TimeoutError:
        raise GitFailed(f"git {command[1]} took longer than {seconds:g} s") from None
    finally:
        # By TERM first, for which git takes its lock files away.
        end()
        await asyncio.wait([exited], timeout=GRACE_SECONDS)
        _signal(process.pid, exited, signal.SIGKILL)
    if out.is_full or errors.is_full:
        raise GitFailed(f"git {command[1]} said more than {MAX_OUTPUT_BYTES} bytes")
    return Result(code, bytes(out.kept), errors.kept.decode(errors="replace"))


def _signal(group: int, exited: "asyncio.Future[int]", number: int) -> None:
    if not exited.done():
        os.killpg(group, number)


def _launch(
    command: list[str], environment: dict[str, str], directory: Path, stdin: Path | None
) -> "subprocess.Popen[bytes]":
    with (stdin or Path(os.devnull)).open("rb") as source:
        return subprocess.Popen(  # noqa: S603 - to run git is its purpose
            command,
            bufsize=0,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=environment,
            start_new_session=True,
            # See Operation._launch.
            close_fds=False,
        )


async def _listen(pipe: object, on_excess: Callable[[], None]) -> _Sink:
    loop = asyncio.get_running_loop()
    _, sink = await loop.connect_read_pipe(lambda: _Sink(on_excess), pipe)
    return sink
