"""Isolated operations: each in a fresh container of the agent's image, and nothing else's.

The container runs the same agent server, which keeps the output as any agent's does. It is made
for one operation, named and found again by that operation's id, and removed with its volumes
when the operation's end is committed. What a process that was killed left there goes by ``Sweep``.
"""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from agents import containers, engine, network, sockets
from agents.errors import (
    AgentPaused,
    AgentUnavailable,
    ContainerMissing,
    EngineRefused,
    ImageMissing,
    LeaseLost,
    StartFailed,
)
from agents.figures.disk import Sizes
from agents.limits import cpus, disk_bytes, memory_bytes, memory_text
from agents.models import Host
from agents.runtime import Container, ContainerSpec, ContainerStatus, Limits, Network, get_runtime
from agents.wire import AgentServer
from operations import deadlines
from operations.deadlines import Verdict
from operations.models import Operation
from operations.places import Broken, broken
from trinity.errors import Unavailable

logger = logging.getLogger(__name__)

Status, Error = Operation.Status, Operation.Error

PREFIX = "operation-"
VOLUMES = ("workspace", "spool")
READY_SECONDS = 1.0
READY_STEP_SECONDS = 0.02
# For a container that was stopped, to come up once more and give what it has.
REVIVAL_SECONDS = 25.0
SWEEP_SECONDS = 20.0
# Who drives the operation removes them at once; this is for what he left.
GRACE_SECONDS = 60.0
STOPPED = "Its agent server did not end it, so its container was stopped"
NOTHING_MORE = f"{STOPPED}, and what it had printed last could not be read"
OUT_OF_MEMORY = "The operation took more memory than its limit"
DISK_FULL = "The operation took {} of the disk, more than the {} of its agent: it was ended"


class OneShot:
    """The container of one operation."""

    def __init__(self, operation: Operation, epoch: int) -> None:
        self._operation = operation
        self._host: Host = operation.agent.host
        self._epoch = epoch
        self._container_id = ""
        self._is_revived = False
        self._is_last_try = False
        self._stopped_for: Verdict | None = None
        self._ran_out_of_memory = False
        self._disk_excess = ""
        key = containers.derived_key(f"operation-server:{operation.pk}")
        self._key = key
        self.server = AgentServer(self._connect, key)

    async def prepare(self) -> None:
        if self._operation.is_finished:
            return
        try:
            await engine.do(self._bring_up)
        except Broken as error:
            if self._stopped_for is None:
                raise
            # Whatever has become of it then: that was not the reason for its end.
            raise broken(self._stopped_for, str(error)) from error

    async def be_ready(self) -> None:
        if self._operation.is_finished:
            return
        give_up_at = time.monotonic() + READY_SECONDS
        while True:
            try:
                await self.server.operations()
            except AgentUnavailable:
                if time.monotonic() > give_up_at:
                    raise
                await asyncio.sleep(READY_STEP_SECONDS)
            else:
                return

    async def end_overdue(self, verdict: Verdict) -> float:
        """Stop its container, which is then started once more, as any that ended."""
        if self._is_last_try or self._operation.status == Status.STARTING:
            raise broken(verdict, NOTHING_MORE)
        if not self._is_revived:
            try:
                await engine.do(self._stop_running, verdict)
            except EngineRefused as error:
                raise broken(verdict, str(error)) from error
        self._is_last_try = True
        return REVIVAL_SECONDS

    async def bound_disk(self, sizes: Sizes) -> None:
        """End the program when it takes more than its agent may; if that is no use, stop it all.

        Its container is then started once more, as any that ended, for what was printed.
        """
        if self._is_revived or not self._container_id:
            return
        names = [volume_name(self._host.instance, self._operation.pk, each) for each in VOLUMES]
        names.append(run_directory(self._operation.pk).name)
        used, limit = sum(sizes.get(name, 0) for name in names), self._operation.agent.disk
        if used <= disk_bytes(limit):
            return
        was_told = bool(self._disk_excess)
        self._disk_excess = DISK_FULL.format(memory_text(used), limit)
        if was_told:
            await engine.do(self._stop)
        else:
            await self.server.signal(str(self._operation.pk), self._epoch, signal="KILL")

    async def judge(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Find out whether memory was the reason: the engine says so once it has stopped."""
        if outcome.get("error") not in {Error.EXITED, Error.LOST}:
            return outcome
        if self._disk_excess:
            return outcome | {"error": Error.EXITED, "summary": self._disk_excess}
        if outcome["error"] == Error.LOST and (verdict := await engine.do(self._verdict)):
            why = {"error": verdict.error, "summary": f"{verdict.summary}. {STOPPED}"}
            return outcome | {"status": verdict.status} | why
        # An engine that is away cannot tell, and the outcome must not wait for it.
        with suppress(Unavailable, ContainerMissing):
            await engine.do(self._stop)
        if not self._ran_out_of_memory:
            return outcome
        return outcome | {"error": Error.OUT_OF_MEMORY, "summary": OUT_OF_MEMORY}

    async def clear(self) -> None:
        try:
            await engine.do(remove, self._host.instance, self._operation.pk)
        except EngineRefused as error:
            logger.warning("The container of %s is removed later: %s", self._operation.pk, error)

    def _connect(self) -> socket.socket:
        if not self._container_id:
            raise AgentUnavailable("The operation's container is not there yet")
        return get_runtime().connect(self._container_id, run_directory(self._operation.pk))

    def _bring_up(self) -> None:
        has_begun = self._operation.status != Status.STARTING
        refused = Error.LOST if has_begun else Error.START_FAILED
        try:
            self._container_id = self._running_container(has_begun=has_begun)
        except ImageMissing as error:
            raise Broken(str(error), error=Error.IMAGE_MISSING) from error
        except (StartFailed, EngineRefused) as error:
            raise Broken(str(error), error=refused) from error
        except ContainerMissing as error:
            # Removed by somebody just now: the next attempt sees that it is gone.
            raise AgentUnavailable(str(error)) from error

    def _running_container(self, *, has_begun: bool) -> str:
        """Return the id of the operation's container, made or started if it has to be."""
        found = _find(self._host.instance, self._operation.pk)
        if found is None:
            if has_begun:
                raise Broken("The operation's container is gone")
            return self._start(self._make())
        match found.status:
            case ContainerStatus.RUNNING if found.is_paused:
                raise AgentPaused(self._operation.agent.name)
            case ContainerStatus.RUNNING:
                return found.id
            case ContainerStatus.CREATED:
                return self._start(found.id)
        self._check_revival(get_runtime().inspect(found.id), has_begun=has_begun)
        return self._start(found.id)

    def _check_revival(self, ended: Container, *, has_begun: bool) -> None:
        """Let a container that ended run once more: its server still has all that was printed."""
        self._ran_out_of_memory |= ended.out_of_memory
        if self._is_revived:
            error = Error.LOST if has_begun else Error.START_FAILED
            error = Error.OUT_OF_MEMORY if self._ran_out_of_memory else error
            raise Broken(
                f"The operation's container ended with exit code {ended.exit_code}", error=error
            )
        self._is_revived = True

    def _make(self) -> str:
        self._check_lease()
        spec = spec_of(self._operation)
        if spec.network is not Network.NONE:
            network.prepare(self._host, spec.network)
            if not self._host.gives_network:
                raise StartFailed(self._host.network_notice)
        sockets.make_run_directory(spec.run_directory, self._key)
        return get_runtime().create(spec)

    def _start(self, container_id: str) -> str:
        self._check_lease()
        sockets.make_run_directory(run_directory(self._operation.pk), self._key)
        get_runtime().start(container_id)
        return container_id

    def _check_lease(self) -> None:
        """Before what another supervisor, which drives the operation meanwhile, would suffer from.

        One that is stopped right behind this, and wakes up late, does nothing new: containers are
        found by name and by id, and a run directory that is there stays as it is.
        """
        if not Host.objects.filter(pk=self._host.pk, lease_epoch=self._epoch).exists():
            raise LeaseLost

    def _stop_running(self, verdict: Verdict) -> None:
        found = _find(self._host.instance, self._operation.pk)
        # The next attempt sees what has become of it.
        if found is None or found.status != ContainerStatus.RUNNING:
            return
        if found.is_paused and not verdict.is_cancel:
            raise AgentPaused(self._operation.agent.name)
        self._container_id, self._stopped_for = found.id, verdict
        with suppress(ContainerMissing):
            self._stop()

    def _verdict(self) -> Verdict | None:
        """Why it had no end when its container had one; by the record, whoever stopped that."""
        with suppress(Unavailable, ContainerMissing):
            if ended_at := get_runtime().inspect(self._container_id).finished_at:
                return deadlines.verdict(self._operation, ended_at)
        return None

    def _stop(self) -> None:
        # Another may be taking the files of this very container.
        self._check_lease()
        runtime = get_runtime()
        runtime.stop(self._container_id, grace_seconds=0)
        self._ran_out_of_memory |= runtime.inspect(self._container_id).out_of_memory


def spec_of(operation: Operation) -> ContainerSpec:
    agent = operation.agent
    instance = agent.host.instance
    workspace, spool = (volume_name(instance, operation.pk, purpose) for purpose in VOLUMES)
    return ContainerSpec(
        name=f"{PREFIX}{operation.pk}",
        image=agent.image,
        limits=_limits(operation),
        run_directory=run_directory(operation.pk),
        workspace_volume=workspace,
        spool_volume=spool,
        network=Network(operation.network),
        labels={
            "trinity.platform": "operation",
            "trinity.instance": instance,
            "trinity.operation": str(operation.pk),
            "trinity.agent-name": agent.name,
            # With the agent all containers go that are labelled so.
            "trinity.agent-uid": agent.uid,
            "trinity.generation": "1",
            "trinity.spec": str(operation.pk),
        },
        environment={"TRINITY_GENERATION": "1"},
    )


def _limits(operation: Operation) -> Limits:
    """Never more than the agent has now, which may be less than when it was asked for."""
    own = operation.agent.limits
    return Limits(
        min(memory_bytes(operation.memory), own.memory_bytes), min(cpus(operation.cpu), own.cpus)
    )


def run_directory(operation_id: UUID) -> Path:
    return sockets.run_directory(f"{PREFIX}{operation_id}")


def volume_name(instance: str, operation_id: UUID, purpose: str) -> str:
    return f"{_volume_prefix(instance)}{operation_id}-{purpose}"


def _volume_prefix(instance: str) -> str:
    return f"trinity-{instance}-{PREFIX}"


def _find(instance: str, operation_id: UUID) -> Container | None:
    """By label: under its name another installation may have a container."""
    for container in get_runtime().containers(instance=instance):
        if container.labels.get("trinity.operation") == str(operation_id):
            return container
    return None


def remove(instance: str, operation_id: UUID) -> None:
    """Take all of an operation's container off the engine and the disk. Safe to repeat."""
    runtime = get_runtime()
    if container := _find(instance, operation_id):
        runtime.remove(container.id)
    for purpose in VOLUMES:
        runtime.remove_volume(volume_name(instance, operation_id, purpose))
    sockets.remove_run_directory(run_directory(operation_id))


class Sweep:
    """Removes what is left of operations that have ended, or whose row is gone."""

    def __init__(self, host_id: int, epoch: int) -> None:
        self._host_id = host_id
        self._epoch = epoch
        self._unwanted_since: dict[UUID, float] = {}
        self._is_first = True

    async def run(self) -> None:
        while True:
            try:
                await engine.do(self.sweep)
            except Unavailable as error:
                logger.info("Sweeping waits: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    def sweep(self) -> None:
        acting = Host.objects.filter(pk=self._host_id, report_only_since=None)
        host = acting.filter(lease_epoch=self._epoch).first()
        if host is None:
            return
        now = time.monotonic()
        unwanted = _unwanted(host.instance)
        # Nobody is at work on what had ended when this supervisor began.
        due = _ended(unwanted) if self._is_first else set()
        self._unwanted_since = {each: self._unwanted_since.get(each, now) for each in unwanted}
        due |= {
            each for each, since in self._unwanted_since.items() if now - since >= GRACE_SECONDS
        }
        for operation_id in due:
            logger.info("Removing what is left of operation %s", operation_id)
            # One that cannot be removed keeps no other from being.
            with suppress(EngineRefused):
                remove(host.instance, operation_id)
        self._is_first = False


def _unwanted(instance: str) -> set[UUID]:
    # Before the rows are read: whatever is made has had its row for longer.
    there = _there(instance)
    needed = Operation.objects.unfinished().filter(pk__in=there, is_isolated=True)
    return there - set(needed.values_list("pk", flat=True))


def _ended(operation_ids: set[UUID]) -> set[UUID]:
    ended = Operation.objects.filter(pk__in=operation_ids, finished_at__isnull=False)
    return set(ended.values_list("pk", flat=True))


def _there(instance: str) -> set[UUID]:
    """Operations of which a container, a volume or a run directory is there."""
    runtime, prefix = get_runtime(), _volume_prefix(instance)
    found = [
        each.labels.get("trinity.operation", "") for each in runtime.containers(instance=instance)
    ]
    for name in runtime.volumes(prefix=prefix):
        found.append(name.removeprefix(prefix).rpartition("-")[0])
    directories = (Path(settings.DATA_DIR) / "sockets").glob(f"{PREFIX}*")
    found += [path.name.removeprefix(PREFIX) for path in directories]
    return {UUID(text) for text in found if _is_id(text)}


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
