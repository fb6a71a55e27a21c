"""Operations on disk: what was asked for, what it printed, how it ended."""

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

from .requests import IDENTIFIER, LARGEST_INTEGER
from .results import Result
from .wire import Refused

HEADER = struct.Struct("!BdI")
STDOUT, STDERR, END = 1, 2, 9
# A result of odd characters takes six bytes and more for each of them.
END_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class End:
    """How an operation ended."""

    exit_code: int | None
    reason: str
    detail: str
    finished_at: float
    truncated: bool
    result: Result | None = None

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raise TypeError or ValueError for what ``to_json`` cannot have written."""
        end = cls(**json.loads(content))
        texts = isinstance(end.reason, str) and isinstance(end.detail, str)
        flag = isinstance(end.truncated, bool) and isinstance(end.finished_at, float)
        flag = flag and isinstance(end.result, dict | None)
        if not (texts and flag and isinstance(end.exit_code, int | None)):
            raise TypeError("a field has another type")
        return end

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def to_record(self) -> bytes:
        payload = self.to_json()
        return HEADER.pack(END, self.finished_at, len(payload)) + payload


class Output:
    """The spool file of one operation, written as whole records only."""

    def __init__(self, path: Path, cap_bytes: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        self._room = cap_bytes
        self.size = 0
        self.is_truncated = False

    def append(self, kind: int, payload: bytes) -> None:
        kept = payload[: self._room]
        self.is_truncated |= len(kept) < len(payload)
        if not kept:
            return
        record = HEADER.pack(kind, time.time(), len(kept)) + kept
        try:
            written = os.write(self._descriptor, record)
        except OSError:
            written = 0
        if written < len(record):
            self._give_up()
            return
        self.size += written
        self._room -= len(kept)

    def close(self) -> None:
        os.close(self._descriptor)

    def _give_up(self) -> None:
        # The disk is full. Half a record would make the rest unreadable, and
        # the program must not wait for a pipe that nobody reads.
        self.is_truncated = True
        self._room = 0
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)


class Folder:
    """The directory of one operation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.out = path / "out"
        self.output = path / "output"
        self._end = path / "end.json"

    def make(self) -> None:
        """Make it, and with it durable that the operation is known; raise OSError."""
        self.path.mkdir(mode=0o700)
        try:
            self.work.mkdir()
            self.out.mkdir()
            # Its name is what counts: only that must outlast a power cut.
            _sync(self.path.parent)
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def open_output(self) -> int:
        try:
            return _open(self.output)
        except OSError:
            # Lost before it began, or removed by its own program.
            return os.open(os.devnull, os.O_RDONLY)

    def write_end(self, end: End) -> None:
        with suppress(OSError):
            _sync(self.output)
        write_durably(self._end, end.to_json())

    def read_end(self) -> End | None:
        """Return the recorded end; None if there is none or it is not one of ours."""
        try:
            return End.parse(_read(self._end, END_BYTES))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def recover(self) -> int:
        """Cut off what a killed server left of its last record; return the size."""
        try:
            with open(_open(self.output, os.O_RDWR), "r+b") as file:
                whole = _whole_records(file.seek(0, os.SEEK_END), file.seek, file.read)
                file.truncate(whole)
        except OSError:
            return 0
        return whole


class Spool:
    """All operations not yet forgotten, and the highest epoch ever seen."""

    def __init__(self, path: Path) -> None:
        self._operations = path / "operations"
        self._trash = path / "trash"
        self._epoch_file = path / "epoch"
        for folder in (path, self._operations, self._trash):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._empty_trash()
        self._epoch = self._read_epoch()

    def folder(self, identifier: str) -> Folder:
        return Folder(self._operations / identifier)

    def folders(self) -> list[Folder]:
        names = sorted(os.listdir(self._operations))
        return [self.folder(name) for name in names if IDENTIFIER.fullmatch(name)]

    def admit(self, epoch: int) -> None:
        """Refuse an epoch below the highest seen; a higher one is the highest now."""
        if epoch < self._epoch:
            raise Refused("stale_epoch", f"epoch {self._epoch} has been seen")
        if epoch > self._epoch:
            write_durably(self._epoch_file, str(epoch).encode())
            self._epoch = epoch

    def forget(self, folder: Folder) -> None:
        # Renamed first: a removal that is cut short leaves no half an operation.
        with suppress(FileNotFoundError):
            folder.path.rename(self._trash / f"{folder.path.name}.{time.time_ns()}")
        self._empty_trash()

    def _empty_trash(self) -> None:
        for path in self._trash.iterdir():
            shutil.rmtree(path, onerror=_open_up_and_retry)

    def _read_epoch(self) -> int:
        try:
            epoch = int(_read(self._epoch_file, 20))
        except (OSError, ValueError):
            return 0
        return epoch if 0 <= epoch <= LARGEST_INTEGER else 0


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old one or the new one, whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    with temporary.open("xb") as file:
        _write_through(file, content)
    temporary.replace(path)
    _sync(path.parent)


def _open(path: Path, flags: int = os.O_RDONLY) -> int:
    # Programs can put a link or a pipe in the place of our files: the one must
    # not be followed, the other would wait for a writer for ever.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read(path: Path, limit: int) -> bytes:
    with open(_open(path), "rb") as file:
        return file.read(limit)


def _write_through(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = _open(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole_records(size: int, seek: Callable[[int], int], read: Callable[[int], bytes]) -> int:
    offset = 0
    while offset + HEADER.size <= size:
        seek(offset)
        kind, _, length = HEADER.unpack(read(HEADER.size))
        following = offset + HEADER.size + length
        if kind not in {STDOUT, STDERR} or following > size:
            break
        offset = following
    return offset


def _open_up_and_retry(remove: Callable[[str], object], path: str, _: object) -> None:
    """Remove what a program has protected from its own user; leave what remains."""
    with suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, 0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)
