"""What every container of ours is denied; nobody can weaken it through a parameter."""

from typing import Any

from docker.types import LogConfig, Mount, Ulimit

from agents.runtime import ContainerSpec, Limits

RUN_TARGET = "/run/trinity"
SPOOL_TARGET = "/var/lib/trinity"
WORKSPACE_TARGET = "/home/developer"
TMP_BYTES = 256 * 1024**2


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
        # Trinity keeps the log; the engine's copy need only outlast a restart of the supervisor.
        "log_config": LogConfig(type="json-file", config={"max-size": "16m", "max-file": "2"}),
        # Without rules that keep it from the host and its networks an agent gets none.
        "network_mode": "none",
        "mounts": [
            Mount(RUN_TARGET, str(spec.run_directory), type="bind"),
            Mount(SPOOL_TARGET, spec.spool_volume, type="volume"),
            Mount(WORKSPACE_TARGET, spec.workspace_volume, type="volume"),
        ],
    }
