"""What every container of ours is denied; nobody can weaken it through a parameter."""

from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from agents.docker_runtime import networks
from agents.runtime import ContainerSpec, Limits

RUN_TARGET = "/run/trinity"
SPOOL_TARGET = "/var/lib/trinity"
WORKSPACE_TARGET = "/home/developer"
TMP_BYTES = 256 * 1024**2
# Trinity keeps the log; the engine's copy need only outlast a restart of the supervisor. A
# reader must never be a whole file behind, and the megabyte that passes until a container is
# held back (``agents.output.brake``) is 50 megabytes in the engine's format if all its lines
# are short.
LOG_FILES = {"max-size": "64m", "max-file": "2"}


def nano_cpus(limits: Limits) -> int:
    return int(limits.cpus * 1_000_000_000)


def host_config(spec: ContainerSpec) -> dict[str, Any]:
    """Arguments of docker-py's ``create_host_config``."""
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,size={TMP_BYTES}"},  # noqa: S108  # the container's
        "init": True,
        "mem_limit": spec.limits.memory_bytes,
        # Equal to the memory limit, so that the container gets no swap.
        "memswap_limit": spec.limits.memory_bytes,
        "nano_cpus": nano_cpus(spec.limits),
        "pids_limit": spec.limits.pids,
        "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        # The desired state decides what runs, not the engine.
        "restart_policy": {"Name": "no"},
        "log_config": LogConfig(type="json-file", config=LOG_FILES),
        "network_mode": networks.name_of(spec.network, spec.labels.get("trinity.instance", "")),
        "mounts": [
            Mount(RUN_TARGET, str(spec.run_directory), type="bind"),
            Mount(SPOOL_TARGET, spec.spool_volume, type="volume"),
            Mount(WORKSPACE_TARGET, spec.workspace_volume, type="volume"),
        ],
    }
