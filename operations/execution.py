"""Drives operations from starting to their one outcome.

The agent server keeps a program's output until it is stored here, so whoever drives an
operation may die at any moment: the next one attaches where the stored log ends.
"""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist

from agents import containers, live, logs
from agents.database import Writer, read
from agents.errors import AgentUnavailable, LeaseLost
from agents.followers import announce_growth
from agents.lines import LineSplitter
from agents.models import Agent, Log
from agents.pacing import Paced
from agents.wire import Kind, Record, Refused, decode, said
from operations.models import Operation
from operations.reports import status_event
from trinity.encryption import unseal

logger = logging.getLogger(__name__)

Status, Error = Operation.Status, Operation.Error

LOG_BYTES = 10_000_000
# More than the log takes, so that the cap is found here and not in the middle of a line.
SPOOL_BYTES = LOG_BYTES + 64 * 1024
GRACE_SECONDS = 10
RETRY_SECONDS = 0.5
# A container that runs but whose server stays silent for so long has lost its operation.
SILENCE_SECONDS = 30.0
LOOK_SECONDS = 1.0

_ERRORS = {"timeout": Error.TIMEOUT, "start_failed": Error.START_FAILED, "lost": Error.LOST}


class Lost(Exception):
    """The operation's output and its end cannot be had any more."""


class Execution:
    """One operation, from wherever it stands to its end."""

    def __init__(self, operation: Operation, epoch: int, writer: Writer) -> None:
        self._operation = operation
        self._id = str(operation.pk)
        self._epoch = epoch
        self._writer = writer
        self._server = containers.server_of(operation.agent)

    async def run(self) -> None:
        log = await read(Log.objects.get, pk=self._operation.log_id)
        self._offset: int = log.cursor.get("offset", 0)
        rests = map(b64decode, log.cursor.get("rests", ["", ""]))
        self._stdout, self._stderr = map(LineSplitter, rests)
        try:
            await self._drive()
        except Lost as error:
            await self._finish(Status.FAILED, error=Error.LOST, summary=str(error))

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        silent_since = loop.time()
        while True:
            offset = self._offset
            try:
                await self._start()
                await self._follow()
            except AgentUnavailable as error:
                await self._check_agent()
                if self._offset != offset:
                    silent_since = loop.time()
                if loop.time() - silent_since > SILENCE_SECONDS:
                    raise Lost(str(error)) from error
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _check_agent(self) -> None:
        agent = await read(Agent.objects.filter(pk=self._operation.agent_id).first)
        if agent is None or agent.status not in {Agent.Status.RUNNING, Agent.Status.STARTING}:
            raise Lost("The agent's container stopped while the operation ran")

    async def _start(self) -> None:
        if self._operation.status != Status.STARTING:
            return
        try:
            await self._server.start(self._id, self._epoch, self._spec())
        except Refused as error:
            if error.code == "stale_epoch":
                raise LeaseLost from error
            await self._finish(Status.FAILED, error=Error.START_FAILED, summary=str(error))
            return
        if await self._writer.write(self._operation.mark_processing):
            await self._announce()

    def _spec(self) -> dict[str, Any]:
        operation = self._operation
        return {
            "command": operation.command,
            "env": unseal(operation.environment) if operation.environment else {},
            "workdir": operation.workdir or None,
            "timeout_seconds": operation.timeout_seconds,
            "output_cap_bytes": SPOOL_BYTES,
        }

    async def _follow(self) -> None:
        if self._operation.is_finished:
            # The end was stored by an earlier attempt, and could not be told.
            await self._server.forget(self._id, self._epoch)
            return
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    await self._store(chunk)
        except Refused as error:
            raise Lost(str(error)) from error

    async def _chunks(self) -> AsyncGenerator[list[Record]]:
        batches = self._server.attach(self._id, self._offset)
        async with aclosing(Paced(batches, lambda record: record.size).chunks()) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _store(self, records: list[Record]) -> None:
        lines: list[logs.Line] = []
        end = records[-1] if records[-1].kind is Kind.END else None
        for record in records:
            if record is not end:
                self._offset += record.size
                is_stderr = record.kind is Kind.STDERR
                splitter = self._stderr if is_stderr else self._stdout
                lines += ((is_stderr, line) for line in splitter.feed(record.payload))
        if end:
            await self._store_end(lines, end)
        else:
            await self._writer.write(lambda: self._append(lines))
            await self._announce_growth()

    async def _store_end(self, lines: list[logs.Line], end: Record) -> None:
        rests = ((False, self._stdout.finish()), (True, self._stderr.finish()))
        lines += [(is_stderr, line) for is_stderr, rest in rests for line in rest]
        outcome = _outcome(end.payload)
        is_cut = _is_cut(end.payload)

        def write() -> None:
            # In one transaction: who sees the end has all of the log.
            self._append(lines, is_cut=is_cut)
            self._operation.finish(**outcome)

        await self._writer.write(write, durable=True)
        await self._announce_growth()
        await self._announce()
        # Only now: until the end is committed, the agent's copy is the only one.
        await self._server.forget(self._id, self._epoch)

    def _append(self, lines: list[logs.Line], *, is_cut: bool = False) -> None:
        rests = [b64encode(splitter.rest).decode() for splitter in (self._stdout, self._stderr)]
        cursor = {"offset": self._offset, "rests": rests}
        self._last_seq = logs.append(
            self._operation.log_id, lines, cursor, cap_bytes=LOG_BYTES, is_cut=is_cut
        )

    async def _announce_growth(self) -> None:
        await announce_growth(self._operation.log_id, self._last_seq)

    async def _finish(
        self, status: Operation.Status, *, error: str = "", summary: str = ""
    ) -> None:
        operation = self._operation
        await self._writer.write(lambda: operation.finish(status, error=error, summary=summary))
        await self._announce()

    async def _announce(self) -> None:
        data = await read(self._recorded_status)
        message = {"type": "operation.event", "event": "operation_status", "data": data}
        await live.send(operation_group(self._operation.pk), message)

    def _recorded_status(self) -> dict[str, Any]:
        # These alone: a full refresh would drop the agent, and load it again outside a thread.
        self._operation.refresh_from_db(fields=["status", "exit_code", "error", "summary"])
        return status_event(self._operation)

    async def cancel(self) -> bool:
        """Have it ended: TERM, ten seconds, KILL; its end then comes by the stream.

        Return False when it could not be told.
        """
        try:
            await self._server.signal(
                self._id, self._epoch, signal="TERM", grace_seconds=GRACE_SECONDS, reason="canceled"
            )
        except (AgentUnavailable, Refused) as error:
            logger.info("Operation %s cannot be cancelled yet: %s", self._id, error)
            return False
        return True


def operation_group(operation_id: UUID) -> str:
    return f"operation.{operation_id}"


def _outcome(payload: bytes) -> dict[str, Any]:
    """Fields of ``Operation.finish`` from what the agent server says; it is not trusted."""
    try:
        told = decode(payload)
        reason, exit_code = str(told["reason"]), told["exit_code"]
        detail = said(told.get("detail", ""), 500)
    except (AgentUnavailable, KeyError):
        return {"status": Status.FAILED, "error": Error.LOST, "summary": "The end is unreadable"}
    if isinstance(exit_code, bool) or not isinstance(exit_code, int | None):
        exit_code = None
    elif exit_code is not None:
        exit_code = max(-255, min(255, exit_code))
    if reason == "canceled":
        return {"status": Status.CANCELED, "exit_code": exit_code}
    if reason == "exited" and exit_code == 0:
        return {"status": Status.SUCCEEDED, "exit_code": 0}
    error = _ERRORS.get(reason, Error.EXITED)
    summary = detail or (f"Exited with code {exit_code}" if error is Error.EXITED else "")
    return {"status": Status.FAILED, "error": error, "summary": summary, "exit_code": exit_code}


def _is_cut(payload: bytes) -> bool:
    """Tell whether the agent server left output out, because its spool was full."""
    try:
        return decode(payload).get("truncated") is True
    except AgentUnavailable:
        return False


class Executions:
    """All operations of one host, each driven by a task of its own."""

    def __init__(self, host_id: int, epoch: int, writer: Writer) -> None:
        self._host_id = host_id
        self._epoch = epoch
        self._writer = writer
        self._wake = asyncio.Event()
        self._running: dict[UUID, Execution] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._canceled: set[UUID] = set()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        try:
            self._spawn(self._forget_finished())
            while True:
                self._wake.clear()
                await self._look()
                try:
                    await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> None:
        # One that ends while they are read is among them, and must not begin again.
        before = set(self._running)
        for operation in await read(self._unfinished):
            if operation.pk not in before and operation.pk not in self._running:
                self._begin(operation)
            if operation.cancel_requested_at and operation.pk not in self._canceled:
                self._canceled.add(operation.pk)
                self._spawn(self._cancel(operation.pk))

    def _unfinished(self) -> list[Operation]:
        mine = Operation.objects.unfinished().filter(agent__host=self._host_id)
        return list(mine.select_related("agent__host").order_by("created_at"))

    def _begin(self, operation: Operation) -> None:
        execution = Execution(operation, self._epoch, self._writer)
        self._running[operation.pk] = execution
        self._spawn(self._drive(operation.pk, execution))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self, operation_id: UUID) -> None:
        execution = self._running.get(operation_id)
        if execution and not await execution.cancel():
            # It has not begun, or its server is away: ask again at the next look.
            self._canceled.discard(operation_id)

    async def _forget_finished(self) -> None:
        """Have the spools removed of those that ended just before their supervisor did."""
        for agent in await read(self._running_agents):
            server = containers.server_of(agent)
            with suppress(AgentUnavailable, Refused):
                kept = await server.operations()
                for operation_id in await read(_finished, kept):
                    await server.forget(str(operation_id), self._epoch)

    def _running_agents(self) -> list[Agent]:
        running = Agent.objects.filter(host=self._host_id, status=Agent.Status.RUNNING)
        return list(running.select_related("host"))

    async def _drive(self, operation_id: UUID, execution: Execution) -> None:
        try:
            await execution.run()
        except LeaseLost:
            pass  # Another supervisor drives it now.
        except ObjectDoesNotExist:
            pass  # It was deleted with its agent.
        except Exception:
            logger.exception("Operation %s is driven again from where it stands", operation_id)
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._running.pop(operation_id, None)
            self._canceled.discard(operation_id)


def _finished(operation_ids: list[UUID]) -> list[UUID]:
    ended = Operation.objects.filter(pk__in=operation_ids, finished_at__isnull=False)
    return list(ended.values_list("pk", flat=True))
