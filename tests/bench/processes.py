"""CPU time and memory of processes, as the kernel counts them."""

import os
import socket
import struct
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_percent(groups, *, seconds, slice_seconds, after_slice=lambda: None):
    """Percent of one core that each group of processes takes, for each slice of the time."""
    samples = {name: [] for name in groups}
    before = _reading(groups)
    for _ in range(seconds // slice_seconds):
        time.sleep(slice_seconds)
        now = _reading(groups)
        elapsed = now[0] - before[0]
        for name, used in now[1].items():
            samples[name].append((used - before[1][name]) / elapsed * 100)
        before = now
        after_slice()
    return samples


def resident_bytes(pid, *, most=False):
    """What a process holds in memory; ``most`` since ``forget_most``, or since it began."""
    name = "VmHWM" if most else "VmRSS"
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def forget_most(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid):
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _reading(groups):
    return time.monotonic(), {name: _cpu_seconds(pids) for name, pids in groups.items()}


def _cpu_seconds(pids):
    """User and system time, of all threads."""
    fields = [_stat(pid) for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICK


def _stat(pid):
    """The fields behind the name, which may hold anything: state, parent, and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def engine_processes(url, container_ids):
    """The daemon that answers at a socket, its containerd, and the shims of the containers."""
    names = dict(_names())
    daemon = _listener(url.removeprefix("unix://"))
    if names[daemon] != "dockerd":  # systemd listens for it
        [daemon] = [pid for pid, name in names.items() if name == "dockerd"]
    shims = [
        pid
        for pid, name in names.items()
        if name.startswith("containerd-shim") and _serves_one_of(pid, container_ids)
    ]
    assert len(shims) == len(container_ids)
    own = [pid for pid, name in names.items() if name == "containerd" and _parent(pid) == daemon]
    others = [pid for pid, name in names.items() if name == "containerd" and _parent(pid) == 1]
    return [daemon, *(own or others), *shims]


def _names():
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), (folder / "comm").read_text().strip()
            except OSError:
                continue  # It has just ended.


def _parent(pid):
    return int(_stat(pid)[1])


def _listener(path):
    """The process that answers at a unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        said = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", said)[0]


def _serves_one_of(pid, container_ids):
    arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return any(container_id in arguments for container_id in container_ids)
