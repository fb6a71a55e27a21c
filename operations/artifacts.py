"""Artifacts in their storage: what they are called there, how they come and how they go.

The storage is Django's, so it may be a directory or somebody else's service. A program's own
names are never names of the storage. All files of an operation lie in one folder, so that
what a killed process left there is found again.
"""

import asyncio
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from mimetypes import MimeTypes
from typing import IO, ParamSpec, TypeVar
from uuid import UUID

from django.core.files import File
from django.core.files.storage import Storage, storages

from operations.models import Artifact

P = ParamSpec("P")
T = TypeVar("T")

PATH_BYTES = 2000
NAME_BYTES = 255
THREADS = 4
UNKNOWN_TYPE = "application/octet-stream"
# Python's own list alone: the machine's would make the same name another thing elsewhere.
_TYPES = MimeTypes()
_LIKE_ESCAPE = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_threads = ThreadPoolExecutor(THREADS, "artifacts")
# Controls, formats (which can turn the direction of writing) and separators of lines.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


class Unstorable(Exception):
    """The storage does not do what it is asked for at present."""


async def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what waits for a disk or a service in a thread; raise Unstorable for its failure."""
    try:
        return await asyncio.get_running_loop().run_in_executor(
            _threads, lambda: work(*args, **kwargs)
        )
    # What a service's library raises, only that library knows.
    except Exception as error:
        raise Unstorable(f"{type(error).__name__}: {error}") from error


def storage() -> Storage:
    return storages["artifacts"]


def safe_path(path: bytes) -> str | None:
    """Return text for a path below ``out/``, another one for each; None where there is none.

    Bytes that are no UTF-8 and characters that are no signs become ``%`` and two digits; and
    so does a ``%`` that would look like one of those.
    """
    parts = path.split(b"/")
    if any(part in {b"", b".", b".."} or len(part) > NAME_BYTES for part in parts):
        return None
    text = _LIKE_ESCAPE.sub("%25", path.decode(errors="surrogateescape"))
    safe = "".join(each if _is_safe(each) else _escaped(each) for each in text)
    return safe if len(safe.encode()) <= PATH_BYTES else None


def _is_safe(character: str) -> bool:
    return unicodedata.category(character) not in _UNSAFE


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogateescape"))


def new(operation_id: UUID, path: str, size: int, digest: str) -> Artifact:
    artifact = Artifact(operation_id=operation_id, path=path, size=size, sha256=digest)
    kind, packing = _TYPES.guess_type(path)
    artifact.content_type = kind if kind and not packing else UNKNOWN_TYPE
    artifact.stored_as = f"{operation_id}/{artifact.pk.hex}"
    return artifact


def store(artifact: Artifact, content: IO[bytes]) -> None:
    content.seek(0)
    if storage().save(artifact.stored_as, File(content)) != artifact.stored_as:
        raise OSError("The storage of artifacts gives files names of its own")


def opened(artifact: Artifact) -> IO[bytes]:
    return storage().open(artifact.stored_as, "rb")


def delete(names: Iterable[str]) -> None:
    for name in names:
        storage().delete(name)


def erase(operation_id: UUID, *, keep: Collection[str] = ()) -> None:
    """Delete the files of an operation, whoever stored them; safe to repeat."""
    folder = str(operation_id)
    try:
        _, names = storage().listdir(folder)
    except FileNotFoundError:
        return
    paths = [f"{folder}/{name}" for name in names]
    delete(path for path in paths if path not in keep)
    if not keep:
        # The directory itself, where the storage has such.
        storage().delete(folder)
