"""What Trinity asks of containers, in its own terms.

Verbs are synchronous, followers asynchronous. Nothing here knows Docker, so that a test
double is small and a second engine is one more module.
"""

import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from django.conf import settings
from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Limits:
    """What one container may use at most."""

    memory_bytes: int
    cpus: float
    pids: int = 512


class Network(StrEnum):
    """What a container can reach: never the host, another container or link-local addresses."""

    NONE = "none"
    INTERNET = "internet"
    #: The internet and private networks.
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that a runtime needs to create a container."""

    name: str
    image: str
    limits: Limits
    #: Shared with the agent server: its key, and the socket that it will make.
    run_directory: Path
    workspace_volume: str
    spool_volume: str
    #: Any but ``none`` has been prepared before.
    network: Network = Network.NONE
    labels: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineDescription:
    id: str
    name: str
    cpus: int
    memory_bytes: int


class ContainerStatus(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine says of one container."""

    id: str
    name: str
    status: ContainerStatus
    labels: Mapping[str, str]
    exit_code: int | None = None
    out_of_memory: bool = False
    started_at: datetime | None = None
    #: When it ended last, also where it was started again since.
    finished_at: datetime | None = None
    #: It runs, but is given no time, until somebody resumes it by hand.
    is_paused: bool = False
    #: Of its first process, in the namespace of the host; None where it cannot be seen.
    pid: int | None = None


class Change(StrEnum):
    """Why an event was sent; what is so now is asked of the engine."""

    STARTED = "started"
    STOPPED = "stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    REMOVED = "removed"
    OUT_OF_MEMORY = "out_of_memory"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    container_id: str
    change: Change
    labels: Mapping[str, str]


class LogEntry(NamedTuple):
    """A piece of a container's log as the engine keeps it: a line, or a part of a long one.

    A tuple and no dataclass: a chatty log makes a hundred thousand a second.
    """

    time_ns: int
    is_stderr: bool
    text: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of one container at one moment; None where the source does not tell."""

    at: float
    cpu_seconds: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None


class ContainerRuntime(Protocol):
    """Creates, controls and follows containers of this installation.

    Every method raises ``EngineUnavailable`` where the engine does not answer.
    ``stop`` and ``remove`` are idempotent; the others raise ``ContainerMissing``.
    """

    def describe(self) -> EngineDescription:
        """Ask the engine who it is; answers or raises within 5 s."""
        ...

    def check(self) -> None:
        """Raise unless the engine answers within 3 s; what a verb asks before it starts."""
        ...

    def create(self, spec: ContainerSpec) -> str:
        """Return the id of a new container, or of the one that an earlier attempt has made.

        That is told by the labels ``trinity.spec`` and ``trinity.generation``. Where another
        container has the name, the instance is appended. Raises ``ImageMissing``, and
        ``StartFailed`` when that name is taken too.
        """
        ...

    def start(self, container_id: str) -> None:
        """Start it; nothing happens when it runs. Raises ``StartFailed`` with the engine's word."""
        ...

    def stop(self, container_id: str, *, grace_seconds: int = 10) -> None: ...

    def remove(self, container_id: str) -> None: ...

    def update(self, container_id: str, limits: Limits) -> None:
        """Give a container other limits on memory and CPU, whether it runs or not.

        Raises ``EngineRefused`` where it uses more memory than it could keep.
        """
        ...

    def rename(self, container_id: str, name: str) -> None:
        """Give a container another name, whether it runs or not; nothing when it has it.

        Where another container has that name, the instance is appended, as with ``create``.
        Raises ``StartFailed`` when that is taken too.
        """
        ...

    def remove_volume(self, name: str) -> None: ...

    def volume_sizes(self, *, prefix: str) -> dict[str, int]:
        """Bytes in the files of each volume whose name begins so, by name.

        The engine looks at every file: a second for some hundred thousand. A volume whose size
        it does not know is left out.
        """
        ...

    def disk(self) -> Path | None:
        """Where on this machine the engine keeps its data; None where that cannot be seen."""
        ...

    def volumes(self, *, prefix: str) -> list[str]:
        """Names of volumes that begin so, in one call."""
        ...

    def export_volume(self, name: str, into: BinaryIO) -> None:
        """Write what the volume holds as a tar archive, whether a container uses it or not.

        Raises ``VolumeMissing``, and ``EngineRefused`` where not all of it could be had.
        """
        ...

    def import_volume(self, name: str, archive: BinaryIO) -> None:
        """Make a volume of an exported one; no path in the archive leads out of it."""
        ...

    def prepare_network(self, network: Network, *, instance: str, unguarded: bool) -> str:
        """Make sure of the network and of the rules that guard it; cheap where all is there.

        Returns why the rules are not in force, empty when they are. Without them there is no
        network either, unless it may be ``unguarded``. Safe to repeat.
        """
        ...

    def remove_networks(self, *, instance: str) -> None:
        """Remove this installation's networks and rules; raises while a container uses one."""
        ...

    def inspect(self, container_id: str) -> Container: ...

    def containers(self, *, instance: str) -> list[Container]:
        """Containers that carry this installation's label, in one call; no pid, no exit code."""
        ...

    def build_image(self, image: str, report: Callable[[str], None]) -> None:
        """Make the base image from what the machine has; says what it does."""
        ...

    def connect(self, container_id: str, run_directory: Path) -> socket.socket:
        """Open the agent server's socket; nothing has been proved about the other side yet.

        Without waiting: called on the event loop. Raises ``AgentUnavailable``, and ``AgentBusy``
        while the server takes no more connections.
        """
        ...

    def events(self, *, instance: str) -> AsyncIterator[ContainerEvent | None]:
        """Follow changes; raises ``EngineUnavailable`` when the engine goes.

        None comes first: from then on nothing is missed.
        """
        ...

    def log(
        self, container_id: str, *, since_ns: int, follow: bool
    ) -> AsyncIterator[list[LogEntry]]:
        """Read the container's log from a time on (inclusive), in batches as they arrive."""
        ...

    def hold_back(self, container_id: str) -> AbstractAsyncContextManager[None]:
        """While it is open, take nothing from the container: what prints more has to wait.

        That begins when about a megabyte has been printed, and ends with the context.
        """
        ...

    def usage(self, containers: Iterable[Container]) -> dict[str, Usage]:
        """Sample running containers by id; those that cannot be read are left out."""
        ...


@cache
def get_runtime() -> ContainerRuntime:
    """Return the process-wide runtime named by ``settings.TRINITY_RUNTIME``."""
    runtime: ContainerRuntime = import_string(settings.TRINITY_RUNTIME)()
    return runtime
