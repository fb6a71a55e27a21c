"""The verbs of the protocol, one request per connection."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

from . import artifacts, file_verbs, requests, wire
from .configuration import Configuration
from .files import Workspace
from .git import Git
from .git_remote import Remote
from .operation import Operation
from .processes import Reaper
from .requests import Spec
from .spool import HEADER, STDERR, STDOUT, Output, Spool
from .wire import Refused, Rubbish

SIGNALS = {"TERM": SIGTERM, "KILL": SIGKILL, "INT": SIGINT}
MAX_CONNECTIONS = 512
CHUNK_BYTES = 64 * 1024
STOP_SECONDS = 5
FAREWELL_SECONDS = 1

logger = logging.getLogger(__name__)

Answer = dict[str, Any]


class AgentServer:
    def __init__(self, *, key: bytes, generation: int, spool: Spool, workspace: Path) -> None:
        self.reaper = Reaper()
        self.workspace = workspace
        self.configuration = Configuration()
        self._git = Git(workspace, self.reaper, lambda: self.environment)
        self._files = Workspace(workspace)
        self._key = key
        self._generation = generation
        self._spool = spool
        self._started_at = time.monotonic()
        self._stop_detail = ""
        self._connections = 0
        self._followers: set[asyncio.Task[None]] = set()
        self._runs: set[asyncio.Task[None]] = set()
        restored = map(Operation.restore, spool.folders())
        self._operations = {operation.id: operation for operation in restored}

    @property
    def environment(self) -> dict[str, str]:
        """Our own environment without what is ours alone, and what the agent was given."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("TRINITY_")
        }
        own = {"TRINITY_WORKSPACE": str(self.workspace)}
        return inherited | self.configuration.environment | own

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, whatever comes over it."""
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                await self._serve(reader, writer)
        # Cancelled only when the process ends; Python 3.11 logs a trace otherwise.
        except (Rubbish, OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        except Exception:
            # The container ends with this process: one bad request must not.
            logger.exception("a connection failed")
            writer.transport.abort()
        finally:
            self._connections -= 1
            writer.close()

    async def stop(self, detail: str) -> None:
        """End all operations and record them as lost."""
        self._stop_detail = detail
        for operation in self._operations.values():
            if operation.end is None:
                operation.terminate(STOP_SECONDS, "lost", detail)
        while self._runs:
            await asyncio.wait(self._runs)
        if self._followers:
            await asyncio.wait(self._followers, timeout=FAREWELL_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(wire.HANDSHAKE_SECONDS):
            await wire.authenticate(reader, writer, key=self._key, generation=self._generation)
        request = wire.parse(await wire.read_line(reader, wire.REQUEST_BYTES))
        try:
            if request.get("verb") == "attach":
                await self._attach(request, reader, writer)
            elif request.get("verb") == "start" and "follow" in request:
                await self._obey(request)
                await self._attach(request | {"offset": request["follow"]}, reader, writer)
            elif request.get("verb") == "artifacts":
                await artifacts.give(self._find(request), writer)
            elif request.get("verb") in file_verbs.VERBS:
                await file_verbs.obey(self._files, request, reader, writer)
            elif request.get("verb") == "git.watch":
                await self._watch_git(Remote.parse(request), reader, writer)
            else:
                await wire.send(writer, {"ok": True} | await self._obey(request))
        except Refused as refusal:
            await wire.refuse(writer, refusal)

    async def _obey(self, request: Answer) -> Answer:
        try:
            return await self._dispatch(request)
        except OSError as error:
            raise Refused("spool_failed", str(error)) from error

    async def _dispatch(self, request: Answer) -> Answer:
        match request.get("verb"):
            case "ping":
                return self._ping()
            case "configure":
                return {"taken": self.configuration.take(request)}
            case "start":
                return await self._start(request)
            case "signal":
                return self._signal(request)
            case "forget":
                return await self._forget(request)
            case "git.status" | "git.log" | "git.sync" | "git.pull":
                return await self._git.obey(request)
        raise Refused("unknown_verb", "there is no such verb")

    def _ping(self) -> Answer:
        return {
            "generation": self._generation,
            "protocol": wire.PROTOCOL,
            "operations": list(self._operations),
            "uptime_seconds": time.monotonic() - self._started_at,
        }

    async def _start(self, request: Answer) -> Answer:
        identifier = requests.identifier(request)
        self._spool.admit(requests.integer(request, "epoch"))
        fields = request.get("spec")
        if not isinstance(fields, dict):
            raise Refused("bad_request", "spec must be an object")
        spec = Spec.parse(fields, self.workspace)
        operation = self._operations.get(identifier)
        if operation is None:
            before = requests.seconds(request, "before")
            if before is not None and time.time() > before:
                # We were held up, and whoever asked waits no longer.
                raise Refused("late", "the request is older than it may be")
            operation = await self._begin(identifier, spec)
        await operation.launched.wait()
        if self._operations.get(identifier) is not operation:
            raise Refused("spool_failed", "the operation could not be recorded")
        return {"state": operation.state}

    async def _begin(self, identifier: str, spec: Spec) -> Operation:
        if self._stop_detail:
            raise Refused("stopping", self._stop_detail)
        operation = Operation(self._spool.folder(identifier))
        # Known from here on: the same id may come again while the disk works.
        self._operations[identifier] = operation
        try:
            await asyncio.to_thread(operation.folder.make)
            output = Output(operation.folder.output, spec.output_cap_bytes)
        except OSError:
            del self._operations[identifier]
            operation.launched.set()
            raise
        run = operation.run(spec, output, self.environment, self.reaper)
        _keep(asyncio.create_task(run), self._runs)
        return operation

    def _signal(self, request: Answer) -> Answer:
        operation = self._find(request)
        self._spool.admit(requests.integer(request, "epoch"))
        number = SIGNALS.get(str(request.get("signal")))
        if number is None:
            raise Refused("bad_request", f"signal must be one of {', '.join(SIGNALS)}")
        grace_seconds = requests.seconds(request, "grace_seconds")
        if request.get("reason") == "canceled":
            operation.give_reason("canceled")
        operation.signal(number)
        if number == SIGTERM and grace_seconds is not None:
            operation.kill_after(grace_seconds)
        return {"state": operation.state}

    async def _forget(self, request: Answer) -> Answer:
        identifier = requests.identifier(request)
        self._spool.admit(requests.integer(request, "epoch"))
        operation = self._operations.get(identifier)
        if operation is None:
            return {}
        if operation.end is None:
            raise Refused("running", "the operation has not finished")
        await asyncio.to_thread(self._spool.forget, operation.folder)
        self._operations.pop(identifier, None)
        return {}

    async def _attach(
        self,
        request: Answer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        operation = self._find(request)
        offset = requests.integer(request, "offset")
        await operation.launched.wait()
        descriptor = operation.folder.open_output()
        try:
            _check_offset(descriptor, offset, operation.size)
            await wire.send(writer, {"ok": True, "state": operation.state, "follows": True})
            follower = asyncio.create_task(_follow(operation, descriptor, offset, writer))
            _keep(follower, self._followers)
            await _while_connected(follower, reader)
        finally:
            os.close(descriptor)

    async def _watch_git(
        self, remote: Remote, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def tell() -> None:
            await wire.send(writer, {"ok": True})
            async with aclosing(self._git.watch(remote)) as states:
                async for state in states:
                    await wire.send(writer, {"ok": True, "status": state})

        watcher = asyncio.create_task(tell())
        _keep(watcher, self._followers)
        await _while_connected(watcher, reader)

    def _find(self, request: Answer) -> Operation:
        operation = self._operations.get(requests.identifier(request))
        if operation is None:
            raise Refused("unknown_operation", "there is no such operation")
        return operation


async def _follow(
    operation: Operation, descriptor: int, offset: int, writer: asyncio.StreamWriter
) -> None:
    """Send the spool as fast as the client takes it; no byte waits in memory."""
    while True:
        # The end is looked at first: what is written before it is then seen too.
        end = operation.end
        wanted = min(CHUNK_BYTES, operation.size - offset)
        if wanted > 0 and (chunk := os.pread(descriptor, wanted, offset)):
            offset += len(chunk)
            writer.write(chunk)
            await writer.drain()
        elif end:
            writer.write(end.to_record())
            await writer.drain()
            return
        else:
            operation.changed.clear()
            await operation.changed.wait()


async def _while_connected(follower: "asyncio.Task[None]", reader: asyncio.StreamReader) -> None:
    """Wait for the follower; stop it when the client goes, also from a silent one."""
    departure = asyncio.create_task(wire.read_away(reader))
    try:
        await asyncio.wait([follower, departure], return_when=asyncio.FIRST_COMPLETED)
    finally:
        departure.cancel()
        follower.cancel()
        await asyncio.gather(follower, departure, return_exceptions=True)


def _check_offset(descriptor: int, offset: int, size: int) -> None:
    if offset in {0, size}:
        return
    header = os.pread(descriptor, HEADER.size, offset) if offset < size else b""
    if len(header) == HEADER.size:
        kind, _, length = HEADER.unpack(header)
        if kind in {STDOUT, STDERR} and offset + HEADER.size + length <= size:
            return
    raise Refused("bad_offset", f"no record begins at {offset}")


def _keep(task: "asyncio.Task[None]", tasks: "set[asyncio.Task[None]]") -> None:
    """Hold the task while it runs: the loop itself refers to tasks weakly."""
    tasks.add(task)
    forget: Callable[[asyncio.Task[None]], object] = tasks.discard
    task.add_done_callback(forget)
