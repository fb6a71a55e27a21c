"""Drives operations from starting to their one outcome.

The agent server keeps a program's output until it is stored here, so whoever drives an
operation may die at any moment: the next one attaches where the stored log ends.
"""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from django.utils import timezone

from agents import activities
from agents.database import Writer, read
from agents.errors import AgentPaused, AgentUnavailable, EngineUnavailable, LeaseLost
from agents.models import Activity, Host
from agents.output import logs, shared_chunks
from agents.output.lines import LineSplitter
from agents.output.pacing import Paced
from agents.spares import Spares
from agents.wire import ANSWER_SECONDS, AgentServer, Kind, Record, Refused, decode, said
from operations import collecting, endings, results
from operations.deadlines import Deadline, Overdue
from operations.isolated import OneShot
from operations.models import Operation
from operations.places import Broken, InAgent, Place, Returning
from operations.queue import ENGINE_AWAY, ENGINE_PATIENCE
from trinity.encryption import Unreadable, unseal
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

Status, Error = Operation.Status, Operation.Error

LOG_BYTES = 10_000_000
# So that the cap is always found here, to the byte: of what was printed, at most half does not
# become text (the carriage returns that end empty lines).
SPOOL_BYTES = 2 * LOG_BYTES + 64 * 1024
RETRY_SECONDS = 0.5
# So long it waits for what a program prints at once, to be recorded together with its beginning.
TOGETHER_SECONDS = 0.005
# A container that runs but whose server stays silent for so long has lost its operation.
SILENCE_SECONDS = 30.0
UNREADABLE = (
    "Its environment cannot be read with the encryption keys there are: "
    "run it again, and give the environment anew"
)

_ERRORS = {"timeout": Error.TIMEOUT, "start_failed": Error.START_FAILED, "lost": Error.LOST}


class Execution:
    """One operation, from wherever it stands to its end; it comes with its agent, host and log."""

    def __init__(self, operation: Operation, epoch: int, writer: Writer, spares: Spares) -> None:
        self._operation = operation
        self._id = str(operation.pk)
        self._epoch = epoch
        self._writer = writer
        self.place: Place = (
            OneShot(operation, epoch)
            if operation.is_isolated
            else InAgent(operation, epoch, spares)
        )
        self._deadline = Deadline(operation)
        self._unreachable_since: float | None = None
        self._silent_seconds = 0.0
        self._was_heard = False
        # Whoever drove it then may have been ended while he took its artifacts.
        self._was_begun = operation.status != Status.STARTING

    @property
    def _server(self) -> AgentServer:
        return self.place.server

    @property
    def _has_just_begun(self) -> bool:
        """Nothing of it is recorded yet, though it may be started."""
        return self._operation.status == Status.STARTING

    async def run(self) -> None:
        cursor = self._operation.log.cursor
        self._offset: int = cursor.get("offset", 0)
        self._last_seq = self._operation.log.last_seq
        rests = map(b64decode, cursor.get("rests", ["", ""]))
        self._stdout, self._stderr = map(LineSplitter, rests)
        self._deadline.begin()
        try:
            await self._drive()
        except Broken as error:
            await self._finish(error.status, error=error.error, summary=str(error))
            # Only once that is recorded: who was stopped for a while, and woke up without the
            # lease, must not take away what another drives. What cannot be cleared is swept later.
            with suppress(Unavailable, Refused):
                await self.place.clear()

    async def _drive(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            tried_at = loop.time()
            try:
                await self._until_told()
            except EngineUnavailable as error:
                await self._check_patience(error)
                self._pardon()
            except (AgentPaused, Returning):
                self._pardon()
            except AgentUnavailable as error:
                if await read(self._is_engine_away):
                    # The containers may be down with it, or with their host, and come back.
                    await self._check_patience(error)
                    self._pardon()
                else:
                    self._check_silence(error, loop.time() - tried_at)
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _until_told(self) -> None:
        """Hear its server up to the end, which comes in time or is brought about."""
        while True:
            try:
                await self._attempt()
            except Overdue as overdue:
                self._deadline.listen(await self.place.end_overdue(overdue.verdict))
                self._silent_seconds = 0.0
            else:
                return

    async def _attempt(self) -> None:
        self._deadline.check()
        await self.place.prepare()
        async with self._deadline.kept():
            await self.place.be_ready()
        await self._start()
        self._unreachable_since = None
        await self._follow()

    def _pardon(self) -> None:
        """It is not the server's fault that it was not heard."""
        self._silent_seconds = 0.0
        self._deadline.postpone()

    def _check_silence(self, error: AgentUnavailable, seconds: float) -> None:
        if self._was_heard:
            # Also if it had nothing to say: that silence was its program's.
            self._was_heard, self._silent_seconds = False, 0.0
            return
        # No attempt counts for more: this process may have been stopped in its middle.
        self._silent_seconds += RETRY_SECONDS + min(seconds, ANSWER_SECONDS)
        if self._silent_seconds <= SILENCE_SECONDS:
            return
        # In an agent it may have begun, with an answer that never came.
        is_unbegun = self._operation.is_isolated and self._operation.status == Status.STARTING
        kind = Error.START_FAILED if is_unbegun else Error.LOST
        raise Broken(str(error), error=kind) from error

    def _is_engine_away(self) -> bool:
        away = Host.objects.filter(pk=self._operation.agent.host_id, away_since__isnull=False)
        return away.exists()

    async def _check_patience(self, error: EngineUnavailable | AgentUnavailable) -> None:
        """Let what has not begun wait for the engine no longer than is of use to anybody.

        What has begun waits on: its container may be there with all that it printed.
        """
        if self._operation.status != Status.STARTING:
            return
        now = asyncio.get_running_loop().time()
        self._unreachable_since = self._unreachable_since or now
        if await read(self._is_canceled):
            raise Broken("", error="", status=Status.CANCELED) from error
        if now - self._unreachable_since > ENGINE_PATIENCE.total_seconds():
            raise Broken(ENGINE_AWAY, error=Error.ENGINE_UNAVAILABLE) from error

    def _is_canceled(self) -> bool:
        asked = Operation.objects.filter(pk=self._operation.pk, cancel_requested_at__isnull=False)
        return asked.exists()

    async def _start(self) -> None:
        if not self._has_just_begun:
            return
        try:
            async with self._deadline.kept():
                await self._server.start(self._id, self._epoch, self._spec())
        except Refused as error:
            if error.code == "stale_epoch":
                raise LeaseLost from error
            await self._finish(Status.FAILED, error=Error.START_FAILED, summary=str(error))
            return
        self._begun_at = timezone.now()

    def _spec(self) -> dict[str, Any]:
        operation = self._operation
        return {
            "command": operation.command,
            "env": self._environment(),
            "workdir": operation.workdir or None,
            "timeout_seconds": operation.timeout_seconds,
            "output_cap_bytes": SPOOL_BYTES,
        }

    def _environment(self) -> dict[str, str]:
        sealed = self._operation.environment
        try:
            env: dict[str, str] = unseal(sealed) if sealed else {}
        except Unreadable as error:
            raise Broken(UNREADABLE, error=Error.START_FAILED) from error
        return env

    async def _follow(self) -> None:
        if self._operation.is_finished:
            # The end was stored by an earlier attempt, and could not be told.
            await self.place.clear()
            return
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    await self._store(chunk)
        except Refused as error:
            raise Broken(str(error)) from error

    async def _chunks(self) -> AsyncGenerator[list[Record]]:
        batches = self._heard(self._deadline.within(self._server.attach(self._id, self._offset)))
        notice_after = TOGETHER_SECONDS if self._has_just_begun else None
        paced = Paced(batches, lambda record: record.size).chunks(notice_after=notice_after)
        async with aclosing(paced) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _heard(self, batches: AsyncGenerator[list[Record]]) -> AsyncGenerator[list[Record]]:
        async with aclosing(batches):
            async for batch in batches:
                self._was_heard = True
                yield batch

    async def _store(self, records: list[Record]) -> None:
        lines: list[logs.Line] = []
        end = records[-1] if records and records[-1].kind is Kind.END else None
        for record in records:
            if record is not end:
                self._offset += record.size
                is_stderr = record.kind is Kind.STDERR
                splitter = self._stderr if is_stderr else self._stdout
                lines += ((is_stderr, line) for line in splitter.feed(record.payload))
        # Also those that come with the end: to collect what it left behind may take a while.
        # Where no line is whole yet nothing is recorded, so that a progress bar costs no writes:
        # whoever comes after us reads from where the last line ended.
        if lines or self._has_just_begun:
            await self._record(lines)
        if end:
            await self._store_end(end)

    async def _record(self, lines: list[logs.Line]) -> None:
        """Store lines, and before the first of them that the operation is under way."""
        # Asked out here: a transaction that is tried again does all of it again.
        has_just_begun = self._has_just_begun

        def write() -> tuple[bool, logs.Appended | None]:
            is_news = has_just_begun and self._operation.mark_processing(self._begun_at)
            return is_news, self._append(lines) if lines else None

        is_news, appended = await self._writer.write(write)
        if is_news:
            # Its time runs only from now on, and somebody waits for its output already.
            self._deadline.move()
            await endings.announce(self._operation, self._last_seq)
        if appended:
            await self._announce(appended)

    async def _store_end(self, end: Record) -> None:
        rests = ((False, self._stdout.finish()), (True, self._stderr.finish()))
        lines = [(is_stderr, line) for is_stderr, rest in rests for line in rest]
        outcome = results.decided(_outcome(end.payload), end.payload)
        is_cut = _is_cut(end.payload)

        def write() -> tuple[logs.Appended, list[Activity] | None]:
            # In one transaction: who sees the end has all of the log.
            appended = self._append(lines, is_cut=is_cut)
            return appended, endings.end(self._operation, **outcome)

        collected = collecting.collected(
            self._server, self._operation, is_first=not self._was_begun
        )
        async with collected as taken:
            outcome |= taken | {"notes": [*outcome.get("notes", []), *taken["notes"]]}
            # After the files were taken: to be sure, the place may have to go.
            outcome = await self.place.judge(outcome)
            appended, ended = await self._writer.write(write, durable=True)
        await self._announce(appended)
        await self._tell(ended)
        # Only now: until the end is committed, the agent's copy is the only one.
        await self.place.clear()

    async def _announce(self, appended: logs.Appended) -> None:
        self._last_seq = appended.last_seq
        await shared_chunks.announce(self._operation.log_id, appended)

    def _append(self, lines: list[logs.Line], *, is_cut: bool = False) -> logs.Appended:
        rests = [b64encode(splitter.rest).decode() for splitter in (self._stdout, self._stderr)]
        cursor = {"offset": self._offset, "rests": rests}
        return logs.append(
            self._operation.log_id, lines, cursor, cap_bytes=LOG_BYTES, is_cut=is_cut
        )

    async def _finish(
        self, status: Operation.Status, *, error: str = "", summary: str = ""
    ) -> None:
        outcome = {"error": error, "summary": summary, "has_strays": self._was_begun}
        ended = await self._writer.write(lambda: endings.end(self._operation, status, **outcome))
        await self._tell(ended)

    async def _tell(self, ended: list[Activity] | None) -> None:
        if ended is not None:
            await endings.announce(self._operation, self._last_seq)
            await activities.announce_all(ended)

    async def cancel(self) -> bool:
        """Have it ended: TERM, ten seconds, KILL; its end then comes by the stream.

        Return False when it could not be told. Raises ObjectDoesNotExist.
        """
        await read(self._operation.refresh_from_db, fields=["cancel_requested_at"])
        self._deadline.move()
        grace = self._deadline.grace_seconds()
        try:
            await self._server.signal(
                self._id, self._epoch, signal="TERM", grace_seconds=grace, reason="canceled"
            )
        except (AgentUnavailable, Refused) as error:
            logger.info("Operation %s cannot be cancelled yet: %s", self._id, error)
            return False
        self._deadline.note_told()
        return True


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
