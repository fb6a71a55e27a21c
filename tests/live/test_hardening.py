"""What a container is denied and limited to, seen from inside of it."""

import json

import pytest

pytestmark = pytest.mark.live

# The last of v1 and v2 that is there; in v1 each controller has a tree of its own.
LOOK = """
import json, os, socket
from pathlib import Path

def first(*names):
    for name in names:
        path = Path("/sys/fs/cgroup") / name
        if path.exists():
            return path.read_text().split()

def attempt(path):
    try:
        Path(path).write_text("x")
    except OSError as error:
        return error.strerror
    return "written"

status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
quota = first("cpu.max") or first("cpu/cpu.cfs_quota_us") + first("cpu/cpu.cfs_period_us")
mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
print(json.dumps({
    "memory": first("memory.max", "memory/memory.limit_in_bytes"),
    "swap": first("memory.swap.max", "memory/memory.memsw.limit_in_bytes"),
    "is_v2": Path("/sys/fs/cgroup/cgroup.controllers").exists(),
    "cpus": int(quota[0]) / int(quota[1]),
    "pids": first("pids.max", "pids/pids.max"),
    "capabilities": [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privs": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "ids": [os.getuid(), os.geteuid(), os.getgid()],
    "root": attempt("/trinity-was-here"),
    "cgroup": attempt("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    "tmp": attempt("/tmp/trinity-was-here"),
    "cards": [name for _, name in socket.if_nameindex()],
    "engine": [str(path) for path in Path("/run").rglob("docker*")],
    "writable": sorted(
        mount[1] for mount in mounts
        if mount[3].split(",")[0] == "rw" and not mount[1].startswith(("/dev", "/proc", "/sys"))
    ),
}))
"""
OURS_FROM_HOST = ["/home/developer", "/run/trinity", "/var/lib/trinity"]
FROM_ENGINE = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}


@pytest.fixture(scope="module")
def seen(embedded):
    embedded.create_agent("hardened", resources={"memory": "2g", "cpu": "1"})
    told = embedded.finished(embedded.run("hardened", "python3", "-c", LOOK))
    yield json.loads(told["result"]["logs"][-1])
    embedded.call("DELETE", "/api/agents/hardened")


def test_memory_is_limited_and_swap_adds_nothing(seen):
    assert seen["memory"] == [str(2 * 1024**3)]
    assert seen["swap"] == (["0"] if seen["is_v2"] else [str(2 * 1024**3)])


def test_cpu_is_limited(seen):
    assert seen["cpus"] == 1.0


def test_processes_are_limited(seen):
    assert 0 < int(seen["pids"][0]) <= 1024


def test_there_are_no_privileges_to_use_or_to_gain(seen):
    assert seen["capabilities"] == ["0" * 16] * 3
    assert seen["no_new_privs"] == "1"
    # 2: a filter is in force.
    assert seen["seccomp"] == "2"
    assert seen["ids"] == [1000, 1000, 1000]


def test_only_its_own_directories_can_be_written(seen):
    assert seen["root"] == "Read-only file system"
    assert seen["cgroup"] != "written"
    assert seen["tmp"] == "written"
    writable = set(seen["writable"]) - FROM_ENGINE
    assert writable == {*OURS_FROM_HOST, "/tmp"}


def test_there_is_one_network_where_it_can_be_guarded_and_no_engine(seen, embedded):
    is_guarded = not embedded.agent("hardened")["network_notice"]
    assert seen["cards"] == (["lo", "eth0"] if is_guarded else ["lo"])
    assert seen["engine"] == []


def test_the_engine_mounts_nothing_else_and_restarts_nothing(seen, embedded, container_of):
    container = container_of(embedded, "hardened")
    assert sorted(mount["Destination"] for mount in container.attrs["Mounts"]) == OURS_FROM_HOST
    config = container.attrs["HostConfig"]
    assert config["RestartPolicy"]["Name"] == "no"
    assert config["Privileged"] is False
    assert config["LogConfig"]["Config"]["max-size"]


def test_its_labels_say_whose_it_is(seen, embedded, container_of):
    labels = container_of(embedded, "hardened").labels
    expected = {
        "trinity.platform": "agent",
        "trinity.instance": embedded.instance,
        "trinity.agent-name": "hardened",
        "trinity.agent-type": "business-assistant",
        "trinity.memory": "2g",
        "trinity.cpu": "1",
        "trinity.template": "local:default",
        "trinity.is-system": "false",
        "trinity.generation": "1",
    }
    assert labels.items() >= expected.items()
    assert {"trinity.created", "trinity.spec", "trinity.ssh-port"} <= labels.keys()
    assert "trinity.base-image-version" in labels
