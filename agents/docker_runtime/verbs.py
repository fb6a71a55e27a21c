"""Synchronous verbs through docker-py; the followers are in their own modules."""

import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import docker
import requests
from docker.errors import (
    APIError,
    DockerException,
    ImageNotFound,
    NotFound,
    create_api_error_from_http_exception,
)

from agents import sockets
from agents.docker_runtime import followers, images, networks, volumes
from agents.docker_runtime.hardening import host_config, nano_cpus
from agents.docker_runtime.stats_streams import StatsStreams
from agents.errors import (
    AgentUnavailable,
    ContainerMissing,
    EngineRefused,
    EngineUnavailable,
    ImageMissing,
    StartFailed,
    VolumeMissing,
)
from agents.figures import cgroups
from agents.runtime import (
    Container,
    ContainerEvent,
    ContainerSpec,
    ContainerStatus,
    EngineDescription,
    Limits,
    LogEntry,
    Network,
    Usage,
)

logger = logging.getLogger(__name__)

CHECK_SECONDS = 3
# Creating and starting take well below a second; on a machine that is out of breath, more.
VERB_SECONDS = 20
# To look at each file of all volumes.
DISK_SECONDS = 120
BUSY_SECONDS = 0.2
# Between two pieces of an archive, or until the last of one is unpacked.
TRANSFER_SECONDS = 600
DEFAULT_URL = "unix:///var/run/docker.sock"
API_VERSION = "1.41"
AGENT_USER = "1000:1000"
# What an attempt to create the same container again has in common with the first.
IDENTITY = ("trinity.instance", "trinity.agent-uid", "trinity.generation", "trinity.spec")


def engine_url() -> str:
    url = os.environ.get("DOCKER_HOST") or DEFAULT_URL
    if url.startswith("ssh://"):
        raise EngineUnavailable(
            "An engine behind ssh:// cannot be followed. Open a tunnel, ssh -NL "
            "/tmp/docker.sock:/var/run/docker.sock HOST, and set "
            "DOCKER_HOST=unix:///tmp/docker.sock"
        )
    return url


@contextmanager
def translated() -> Iterator[None]:
    """Turn Docker's and its HTTP client's errors into ours."""
    try:
        yield
    except ImageNotFound as error:
        raise ImageMissing(error.explanation) from error
    except NotFound as error:
        raise ContainerMissing(error.explanation) from error
    except APIError as error:
        # Its text may name paths of this machine, which are nobody else's business.
        logger.warning("The container engine refused: %s", error)
        raise EngineRefused("The container engine refused: Trinity's log says why") from error
    # Anything that is neither of these is a bug of ours and must not be hidden.
    except (DockerException, requests.RequestException) as error:
        raise EngineUnavailable(
            "The container engine does not answer: start it, or set DOCKER_HOST to one that runs"
        ) from error


class DockerRuntime:
    def __init__(self) -> None:
        # Nothing is asked of the engine before a call: it may be away when Trinity starts.
        # requests keeps a pool of connections, so that threads may share a client.
        self._checker = self._client(CHECK_SECONDS)
        self._api = self._client(VERB_SECONDS)
        self._stats = StatsStreams(engine_url)
        self._root: Path | None = None

    @staticmethod
    def _client(seconds: int) -> Any:
        with translated():
            return docker.APIClient(engine_url(), version=API_VERSION, timeout=seconds)

    def check(self) -> None:
        with translated():
            self._checker.ping()

    def describe(self) -> EngineDescription:
        with translated():
            told = self._checker.info()
        return EngineDescription(told["ID"], told["Name"], told["NCPU"], told["MemTotal"])

    def build_image(self, image: str, report: Callable[[str], None]) -> None:
        with translated():
            images.build(self._client(images.BUILD_SECONDS), image, report)

    def create(self, spec: ContainerSpec) -> str:
        names = [spec.name, f"{spec.name}-{spec.labels.get('trinity.instance')}"]
        for name in names:
            if container_id := self._create_as(name, spec) or self._made_before(name, spec):
                return container_id
        raise StartFailed(f"The engine has other containers of the names {' and '.join(names)}")

    def _create_as(self, name: str, spec: ContainerSpec) -> str | None:
        """Return the new container's id, None when the name is taken."""
        try:
            with translated():
                created = self._api.create_container(
                    spec.image,
                    name=name,
                    # Whatever the image says: not root.
                    user=AGENT_USER,
                    labels=spec.labels,
                    environment=spec.environment,
                    host_config=self._api.create_host_config(**host_config(spec)),
                )
        except EngineRefused as error:
            if not _is_conflict(error):
                raise
            return None
        return str(created["Id"])

    def _made_before(self, name: str, spec: ContainerSpec) -> str | None:
        try:
            found = self.inspect(name)
        except ContainerMissing:
            return None
        is_same = all(found.labels.get(name) == spec.labels.get(name) for name in IDENTITY)
        return found.id if is_same else None

    def start(self, container_id: str) -> None:
        try:
            with translated():
                self._start(container_id)
        except EngineRefused as error:
            raise StartFailed("The engine could not start the container") from error

    def _start(self, container_id: str) -> None:
        try:
            self._api.start(container_id)
        except NotFound:
            # Its network may have been removed and made again since.
            name = self._api.inspect_container(container_id)["HostConfig"]["NetworkMode"]
            try:
                networks.attach_anew(self._api, container_id, name)
                self._api.start(container_id)
            except NotFound as error:
                raise StartFailed("Its network has not been prepared") from error

    def stop(self, container_id: str, *, grace_seconds: int = 10) -> None:
        with suppress(ContainerMissing), translated():
            self._api.stop(container_id, timeout=grace_seconds)

    def remove(self, container_id: str) -> None:
        with suppress(ContainerMissing), translated():
            self._api.remove_container(container_id, force=True)

    def update(self, container_id: str, limits: Limits) -> None:
        # Not docker-py's update_container: it knows no NanoCpus, and the engine refuses a CPU
        # quota for a container that was created with them. Memory and swap go in one call:
        # the engine then writes them in the order that cgroup v1 asks for, up or down.
        wanted = {
            "Memory": limits.memory_bytes,
            "MemorySwap": limits.memory_bytes,
            "NanoCpus": nano_cpus(limits),
        }
        url = f"{self._api.base_url}/v{API_VERSION}/containers/{container_id}/update"
        with translated():
            answer = self._api.post(url, json=wanted, timeout=VERB_SECONDS)
            try:
                answer.raise_for_status()
            except requests.HTTPError as error:
                create_api_error_from_http_exception(error)

    def rename(self, container_id: str, name: str) -> None:
        found = self.inspect(container_id)
        names = [name, f"{name}-{found.labels.get('trinity.instance')}"]
        if found.name in names:
            return
        if not any(self._rename_to(container_id, each) for each in names):
            raise StartFailed(f"The engine has other containers of the names {' and '.join(names)}")

    def _rename_to(self, container_id: str, name: str) -> bool:
        """Return False when the name is taken."""
        try:
            with translated():
                self._api.rename(container_id, name)
        except EngineRefused as error:
            if not _is_conflict(error):
                raise
            return False
        return True

    def remove_volume(self, name: str) -> None:
        with suppress(ContainerMissing), translated():
            volumes.let_go(self._api, name)
            self._api.remove_volume(name)

    def volumes(self, *, prefix: str) -> list[str]:
        with translated():
            return volumes.names(self._api, prefix)

    def export_volume(self, name: str, into: BinaryIO) -> None:
        try:
            with translated(), closing(self._client(TRANSFER_SECONDS)) as api:
                is_whole = volumes.export(api, images.BASE, name, into)
        except ContainerMissing as error:
            raise VolumeMissing(f"The engine has no volume {name}") from error
        if not is_whole:
            raise EngineRefused(f"The engine did not give the whole of volume {name}")

    def import_volume(self, name: str, archive: BinaryIO) -> None:
        with translated(), closing(self._client(TRANSFER_SECONDS)) as api:
            is_filled = volumes.fill(api, images.BASE, name, archive)
        if not is_filled:
            raise EngineRefused(f"The engine did not take the content of volume {name}")

    def prepare_network(self, network: Network, *, instance: str, unguarded: bool) -> str:
        with translated():
            return networks.prepare(self._api, network, instance=instance, unguarded=unguarded)

    def remove_networks(self, *, instance: str) -> None:
        with translated():
            networks.remove(self._api, instance=instance)

    def volume_sizes(self, *, prefix: str) -> dict[str, int]:
        with translated():
            found = self._disk_usage()["Volumes"] or []
        return {
            each["Name"]: each["UsageData"]["Size"]
            for each in found
            if each["Name"].startswith(prefix) and each["UsageData"]["Size"] >= 0
        }

    def _disk_usage(self) -> dict[str, Any]:
        """Ask until nobody else does: the engine refuses a second one meanwhile."""
        until = time.monotonic() + DISK_SECONDS
        while True:
            try:
                usage: dict[str, Any] = self._client(DISK_SECONDS).df()
            except APIError as error:
                if "already running" not in str(error.explanation) or time.monotonic() > until:
                    raise
                time.sleep(BUSY_SECONDS)
            else:
                return usage

    def disk(self) -> Path | None:
        if self._root is None:
            with translated():
                self._root = Path(self._checker.info()["DockerRootDir"])
        # Only of an engine on this machine; of another there may be a directory of that name.
        is_here = engine_url().startswith("unix://") and self._root.is_dir()
        return self._root if is_here else None

    def inspect(self, container_id: str) -> Container:
        with translated():
            found = self._api.inspect_container(container_id)
        state = found["State"]
        return Container(
            id=found["Id"],
            name=found["Name"].lstrip("/"),
            status=_status(state["Status"]),
            labels=found["Config"]["Labels"] or {},
            exit_code=state["ExitCode"],
            out_of_memory=state["OOMKilled"],
            started_at=_time(state["StartedAt"]),
            finished_at=_time(state["FinishedAt"]),
            is_paused=state["Paused"],
            pid=state["Pid"] or None,
        )

    def containers(self, *, instance: str) -> list[Container]:
        # The raw list: docker-py's containers.list() would inspect each of them.
        with translated():
            found = self._api.containers(
                all=True, filters={"label": f"trinity.instance={instance}"}
            )
        return [
            Container(
                id=each["Id"],
                name=each["Names"][0].lstrip("/"),
                status=_status(each["State"]),
                labels=each["Labels"],
                is_paused=each["State"] == "paused",
            )
            for each in found
        ]

    def connect(self, container_id: str, run_directory: Path) -> socket.socket:
        connection = sockets.connect(run_directory)
        pid = sockets.peer_pid(connection)
        if pid and not cgroups.belongs_to(pid, container_id):
            connection.close()
            raise AgentUnavailable("Something else than the agent listens on its socket")
        return connection

    def events(self, *, instance: str) -> AsyncIterator[ContainerEvent | None]:
        return followers.events(engine_url(), instance=instance)

    def log(
        self, container_id: str, *, since_ns: int, follow: bool
    ) -> AsyncIterator[list[LogEntry]]:
        return followers.log(engine_url(), container_id, since_ns=since_ns, follow=follow)

    def hold_back(self, container_id: str) -> AbstractAsyncContextManager[None]:
        return followers.hold_back(engine_url(), container_id)

    def usage(self, containers: Iterable[Container]) -> dict[str, Usage]:
        wanted = [container for container in containers if container.pid]
        found = cgroups.usage(wanted)
        # All or none: the kernel's files are this machine's, or the engine runs elsewhere.
        if found or not wanted:
            return found
        return self._stats.usage(container.id for container in wanted)


def _is_conflict(error: EngineRefused) -> bool:
    return isinstance(error.__cause__, APIError) and error.__cause__.status_code == 409


def _status(status: str) -> ContainerStatus:
    match status:
        case "running" | "paused" | "restarting":
            return ContainerStatus.RUNNING
        case "created":
            return ContainerStatus.CREATED
        case _:
            return ContainerStatus.EXITED


def _time(stamp: str) -> datetime | None:
    # Docker's "never" is the year 1.
    if stamp.startswith("0001"):
        return None
    return datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC)
