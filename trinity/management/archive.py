"""A backup as a file: a tar whose last entry, the manifest, has checksums of all the others."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from trinity.errors import Invalid

VERSION = 1
MANIFEST = "manifest.json"
CHUNK_BYTES = 1024**2

Manifest = dict[str, Any]


class Damaged(Invalid):
    """The file is no backup, or not as it was written."""

    code = "backup_damaged"


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece


class Archive:
    """A backup that is being written; use ``writing``."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.files: dict[str, dict[str, Any]] = {}

    def add(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            entry = _entry(name, os.fstat(file.fileno()).st_size)
            hashed = _Hashed(file)
            # It asks for nothing but read().
            self._tar.addfile(entry, cast(BinaryIO, hashed))
        self.files[name] = {"size": entry.size, "sha256": hashed.digest.hexdigest()}

    def finish(self, manifest: Manifest) -> None:
        told = {"version": VERSION, **manifest, "files": self.files}
        text = json.dumps(told, indent=1).encode()
        self._tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


@contextmanager
def writing(path: Path) -> Iterator[Archive]:
    """Write a backup that has its name only when all of it is on the disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield Archive(tar)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def unpack(path: Path, folder: Path, *, without: tuple[str, ...] = ()) -> Manifest:
    """Take a backup apart below the folder and return its manifest; raises Damaged.

    What begins with one of ``without`` is compared with its checksum, and not written.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                _check(entry, found)
                found[entry.name] = _take(tar, entry, folder, skip=entry.name.startswith(without))
    except (tarfile.TarError, EOFError) as error:
        raise Damaged(f"{path} is no backup, or a part of it is missing: {error}") from error
    return _compared(path, folder, found)


def _check(entry: tarfile.TarInfo, found: dict[str, Any]) -> None:
    name = PurePosixPath(entry.name)
    is_below = bool(name.parts) and not name.is_absolute() and ".." not in name.parts
    if not entry.isreg() or not is_below or entry.name in found:
        raise Damaged(f"{entry.name!r} is nothing that a backup holds")


def _take(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, *, skip: bool
) -> dict[str, Any]:
    # Written by hand: the filters of tarfile came with Python 3.11.4, and Debian 12 has 3.11.2.
    path = Path(os.devnull) if skip else folder / entry.name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = _Hashed(cast(BinaryIO, tar.extractfile(entry)))
    with open(path, "wb", opener=_private) as file:
        shutil.copyfileobj(content, file, CHUNK_BYTES)
    return {"size": entry.size, "sha256": content.digest.hexdigest()}


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _compared(path: Path, folder: Path, found: dict[str, dict[str, Any]]) -> Manifest:
    if found.pop(MANIFEST, None) is None:
        raise Damaged(f"{path} has no {MANIFEST}: it is no backup, or its end is missing")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        version, files = manifest["version"], manifest["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"The {MANIFEST} of {path} cannot be read") from error
    if version != VERSION:
        raise Damaged(
            f"{path} is of version {version}, this Trinity reads {VERSION}: "
            "restore it with the Trinity that made it"
        )
    for name in sorted(files.keys() | found.keys()):
        if files.get(name) != found.get(name):
            raise Damaged(f"{name} in {path} is not as it was written")
    return cast(Manifest, manifest)
