"""What a container uses, from the kernel's files of either version; never 0 for not known."""

import pytest

from agents.figures import cgroups
from agents.runtime import Container, ContainerStatus

PID = 4242
ID = "c" * 64
NET = """Inter-|   Receive                  |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0
  eth0: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0
  eth1:  10 1 0 0 0 0 0 0  20 1 0 0 0 0 0 0
"""


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Write the files of a kernel: paths below /proc/<pid> and below the cgroups' root."""
    monkeypatch.setattr(cgroups, "PROC", tmp_path / "proc")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    cgroups._folders.cache_clear()

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    yield lambda files: write(**files)
    cgroups._folders.cache_clear()


def sample(pid=PID):
    container = Container(ID, "a", ContainerStatus.RUNNING, {}, pid=pid)
    return cgroups.usage([container]).get(ID)


def version_1(**changes):
    return {
        f"proc/{PID}/cgroup": f"5:memory:/docker/{ID}\n4:cpu,cpuacct:/docker/{ID}\n0::/x\n",
        f"proc/{PID}/net/dev": NET,
        f"cgroup/cpuacct/docker/{ID}/cpuacct.usage": "2500000000\n",
        f"cgroup/memory/docker/{ID}/memory.usage_in_bytes": "5000\n",
        f"cgroup/memory/docker/{ID}/memory.limit_in_bytes": "8000\n",
        f"cgroup/memory/docker/{ID}/memory.stat": "cache 9\ntotal_inactive_file 1000\n",
    } | changes


def version_2():
    folder = f"cgroup/system.slice/docker-{ID}.scope"
    return {
        f"proc/{PID}/cgroup": f"0::/system.slice/docker-{ID}.scope\n",
        f"proc/{PID}/net/dev": NET,
        f"{folder}/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        f"{folder}/memory.current": "5000\n",
        f"{folder}/memory.max": "8000\n",
        f"{folder}/memory.stat": "anon 1\ninactive_file 1000\n",
    }


@pytest.mark.parametrize("version", [version_1, version_2])
def test_both_versions_tell_the_same(kernel, version):
    kernel(version())
    usage = sample()
    assert (usage.cpu_seconds, usage.memory_bytes, usage.memory_limit_bytes) == (2.5, 4000, 8000)
    assert (usage.network_rx_bytes, usage.network_tx_bytes) == (110, 220)


@pytest.mark.parametrize("version", [version_1, version_2])
def test_a_file_that_is_missing_is_a_figure_that_is_not_known(kernel, version):
    kept = ("/cgroup", "cpuacct.usage", "cpu.stat")
    kernel({name: text for name, text in version().items() if name.endswith(kept)})
    usage = sample()
    assert usage.cpu_seconds == 2.5
    assert usage.memory_bytes is usage.memory_limit_bytes is None
    assert usage.network_rx_bytes is usage.network_tx_bytes is None


@pytest.mark.parametrize("version", [version_1, version_2])
def test_a_cgroup_of_which_nothing_can_be_read_is_left_out(kernel, version):
    kernel({name: text for name, text in version().items() if name.endswith(f"{PID}/cgroup")})
    assert sample() is None


def test_no_limit_is_not_a_large_one(kernel):
    files = version_1()
    kernel(files)
    kernel({f"cgroup/memory/docker/{ID}/memory.limit_in_bytes": "9223372036854771712\n"})
    assert sample().memory_limit_bytes is None
    cgroups._folders.cache_clear()
    kernel(version_2() | {f"cgroup/system.slice/docker-{ID}.scope/memory.max": "max\n"})
    assert sample().memory_limit_bytes is None


def test_a_container_that_ended_meanwhile_is_left_out(kernel):
    assert sample() is None
    assert sample(pid=None) is None


def test_a_process_belongs_to_a_container_or_not(kernel):
    kernel(version_2())
    assert cgroups.belongs_to(PID, ID)
    assert not cgroups.belongs_to(PID, "d" * 64)
    assert not cgroups.belongs_to(PID + 1, ID)


@pytest.mark.parametrize("version", [version_1, version_2])
def test_a_process_that_is_another_machines_has_no_figures_here(kernel, version):
    kernel({name: text.replace(ID, "d" * 64) for name, text in version().items()})
    assert sample() is None
