"""Starts the agent server from its environment and ends it by signal."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from . import processes
from .server import STOP_SECONDS, AgentServer
from .spool import Spool

READER_BYTES = 64 * 1024
# Who finds the queue full is turned away at once, not made to wait.
BACKLOG = 512
NOT_STARTED = 127

logger = logging.getLogger(__name__)


def main() -> None:
    # Standard output is the container's log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    processes.protect_this_process()
    sys.exit(asyncio.run(serve()))


async def serve() -> int:
    run = Path(os.environ.get("TRINITY_RUN_DIR", "/run/trinity"))
    spool = os.environ.get("TRINITY_SPOOL_DIR", "/var/lib/trinity/spool")
    generation = int(os.environ.get("TRINITY_GENERATION", "0"))
    server = AgentServer(
        # Read once: programs in the container may replace the file later.
        key=(run / "key").read_bytes().strip(),
        generation=generation,
        spool=Spool(Path(spool)),
        workspace=Path(os.environ.get("TRINITY_WORKSPACE", "/home/developer")),
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, server.reaper.collect)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listener = await asyncio.start_unix_server(
        server.converse, sock=bind(run / "agent.sock"), limit=READER_BYTES, backlog=BACKLOG
    )
    logger.info("agent server ready, generation %d", generation)
    code = await until_the_end(server, stopped)
    listener.close()
    return code


async def until_the_end(server: AgentServer, stopped: asyncio.Event) -> int:
    """Wait for a signal or for the agent's own program, then stop everything."""
    command = os.environ.get("TRINITY_COMMAND")
    if not command or not await configured(server, stopped):
        await stopped.wait()
        await server.stop("the container was stopped")
        return 0
    try:
        process = launch(json.loads(command), server)
    except (OSError, ValueError, TypeError) as error:
        logger.critical("the agent's command could not be started: %s", error)
        return NOT_STARTED
    exited = server.reaper.watch(process)
    exited.add_done_callback(lambda _: stopped.set())
    await stopped.wait()
    if exited.done():
        code = exited.result()
        logger.info("the agent's command exited with code %d", code)
        await server.stop("the agent's command exited")
        return code if code >= 0 else 128 - code
    await asyncio.gather(server.stop("the container was stopped"), end(process, exited))
    return 0


async def configured(server: AgentServer, stopped: asyncio.Event) -> bool:
    """Wait for the agent's environment; return False when it is stopped before."""
    waits = [asyncio.create_task(each.wait()) for each in (server.configuration.received, stopped)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return not stopped.is_set()


def launch(command: list[str], server: AgentServer) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - to run what it is told is its purpose
        command,
        stdin=subprocess.DEVNULL,
        cwd=server.workspace,
        env=server.environment,
        start_new_session=True,
        close_fds=False,
    )


async def end(process: "subprocess.Popen[bytes]", exited: "asyncio.Future[int]") -> None:
    os.killpg(process.pid, signal.SIGTERM)
    await asyncio.wait([exited], timeout=STOP_SECONDS)
    if not exited.done():
        os.killpg(process.pid, signal.SIGKILL)
        await exited


def bind(path: Path) -> socket.socket:
    """Take the path, whatever a program has left there in an earlier run."""
    clear(path)
    listener = socket.socket(socket.AF_UNIX)
    # Not chmod, which follows a link: the mode is right from the first moment.
    mask = os.umask(0)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    return listener


def clear(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        try:
            path.rmdir()
        except OSError:
            path.rename(path.with_name(f"{path.name}.{time.time_ns()}"))


if __name__ == "__main__":
    main()
