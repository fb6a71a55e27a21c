"""The data directory as a whole: who uses it, and whether it is the one it was.

A copy of it looks the same from inside. So it is known by where its mark lies: a file that
was copied has another inode. And it counts, as the database does, how often a supervisor was
alive: a database that has counted less is older than what was done with this directory.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from django.conf import settings

from trinity.errors import Conflict

MARK = "installation"
BEAT = "beat"
LOCK = "lock"
#: Lies there from before a restore changes anything until all of it is in place.
UNFINISHED = "restore-unfinished"


class InUse(Conflict):
    code = "data_directory_in_use"


class Unfinished(Conflict):
    code = "restore_unfinished"


def _folder() -> Path:
    return Path(settings.DATA_DIR)


def identity() -> str:
    """Name this directory: its mark, the machine, the boot, the device, the inode."""
    mark = _folder() / MARK
    if not mark.exists():
        _make(mark)
    place = mark.stat()
    parts = [mark.read_text().strip(), _read("/etc/machine-id")]
    parts += [_read("/proc/sys/kernel/random/boot_id"), str(place.st_dev), str(place.st_ino)]
    return " ".join(part.replace(" ", "")[:40] or "-" for part in parts)


def _make(mark: Path) -> None:
    # Linked into place whole: of two processes that start at once, both read one mark.
    draft = mark.with_name(f"{MARK}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(token_hex(8))
    with suppress(FileExistsError):
        os.link(draft, mark)
    draft.unlink()


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def is_same(recorded: str, present: str) -> bool:
    """Tell whether two identities are of one directory, moved within its filesystem at most."""
    try:
        was_mark, was_machine, was_boot, was_device, was_inode = recorded.split(" ")
        mark, machine, boot, device, inode = present.split(" ")
    except ValueError:
        return False
    # Numbers of devices are given anew at each boot.
    same_device = device == was_device or boot != was_boot
    return (mark, machine, inode, same_device) == (was_mark, was_machine, was_inode, True)


def noted_beat() -> int:
    try:
        return int((_folder() / BEAT).read_text())
    except (OSError, ValueError):
        return 0


def note_beat(beat: int) -> None:
    draft = _folder() / f"{BEAT}.{os.getpid()}"
    draft.write_text(str(beat))
    draft.replace(_folder() / BEAT)


@contextmanager
def in_use() -> Iterator[None]:
    """Keep a restore away for as long as this process uses the directory.

    Raises InUse while a restore is under way, Unfinished after one that was broken off.
    """
    with _locked(fcntl.LOCK_SH, "A restore into this data directory is under way"):
        if (_folder() / UNFINISHED).exists():
            raise Unfinished(
                "A restore into this data directory was broken off, and what lies there is "
                "neither old nor new. Run it again: manage.py restore --replace FILE"
            )
        yield


@contextmanager
def to_oneself() -> Iterator[None]:
    """Keep everybody else away; raises InUse while any other process uses the directory."""
    told = "Trinity runs on this data directory: stop it first (manage.py up, serve and supervise)"
    with _locked(fcntl.LOCK_EX, told):
        yield


@contextmanager
def _locked(kind: int, refusal: str) -> Iterator[None]:
    # The kernel lets go of it when the process ends, however it ends.
    with (_folder() / LOCK).open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUse(refusal) from error
        yield
