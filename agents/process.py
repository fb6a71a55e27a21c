"""Which process holds a claim or a lease, and whether it still lives.

A holder is ``<boot id>/<pid namespace>:<pid>:<start time>``; the start time tells a process
from a later one that was given the same number, the namespace from one of another container.
"""

import os
from pathlib import Path


def _boot_id() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def _start_time(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # Counted from behind the name, which may hold spaces and brackets (proc(5), field 22).
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else rest[18]


def holder(pid: int) -> str:
    return f"{_boot_id()}:{pid}:{_start_time(pid)}"


HOLDER = holder(os.getpid())


def is_gone(name: str) -> bool:
    """Tell whether the holder has certainly ended; False where this machine cannot know."""
    boot, _, rest = name.partition(":")
    pid, _, start = rest.partition(":")
    if not pid.isdecimal():
        return False
    # Another boot of this machine, or another machine: only the latter can still live, and
    # its claims run out by themselves.
    return boot == _boot_id() and _start_time(int(pid)) != start
