"""The files below the workspace, for those who may not enter the container.

Programs of the agent can put a link, a pipe or another directory in the place of anything
here, at any moment. So every path is walked from the workspace's own descriptor, component by
component, without following a link and without leaving the file system.
Paths and names are bytes; in messages they are percent-encoded.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from .wire import Refused

Parts = Sequence[bytes]

FILE_BYTES = 100 * 1024**2
PATH_BYTES = 4096
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# A pipe would wait for a writer, a terminal would become ours.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
TOO_LARGE = "too_large", "it is larger than 100 MB"
LINK = "outside_workspace", "symbolic links are not followed"
REFUSALS = {
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_a_directory",
    errno.EISDIR: "is_directory",
    errno.ELOOP: "outside_workspace",
    errno.EXDEV: "outside_workspace",
    errno.EACCES: "not_permitted",
    errno.EPERM: "not_permitted",
    errno.EROFS: "not_permitted",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    # Where the agent's own limit on the size of files is below ours.
    errno.EFBIG: "disk_full",
    errno.ENOTEMPTY: "changed",
    errno.ENAMETOOLONG: "bad_request",
}


@contextmanager
def refusing() -> Iterator[None]:
    """Turn what the kernel says into a refusal."""
    try:
        yield
    except OSError as error:
        code = REFUSALS.get(error.errno or 0, "failed")
        raise Refused(code, error.strerror or "failed") from error


def parts_of(request: dict[str, Any]) -> Parts:
    """Return the components of a request's path, of which none leads upwards."""
    text = request.get("path")
    if not isinstance(text, str) or len(text) > 3 * PATH_BYTES:
        raise Refused("bad_request", "path must be a text")
    parts = unquote_to_bytes(text).split(b"/") if text else []
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise Refused("bad_request", "path must be relative and plain")
    return parts


def encoded(name: str) -> str:
    return quote(os.fsencode(name), safe="")


class Workspace:
    """The agent's own directory, and the way to what lies in it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def directory(self, parts: Parts) -> Iterator[int]:
        """Give a descriptor of a directory."""
        here = os.open(self._path, DIRECTORY)
        try:
            for part in parts:
                here = _step(here, part)
            yield here
        finally:
            os.close(here)

    @contextmanager
    def nearest(self, parts: Parts) -> Iterator[tuple[int, Parts]]:
        """Give a descriptor of the deepest directory that exists, and what is missing below."""
        here, missing = os.open(self._path, DIRECTORY), list(parts)
        try:
            while missing:
                try:
                    here = _step(here, missing[0])
                except FileNotFoundError:
                    break
                del missing[0]
            yield here, missing
        finally:
            os.close(here)


def enter(directory: int, name: bytes) -> int:
    """Open a directory in another one of the same file system."""
    try:
        entered = os.open(name, DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        # The kernel says so of a link, too.
        if kind_in(directory, name) == "link":
            raise Refused(*LINK) from None
        raise
    if os.fstat(entered).st_dev != os.fstat(directory).st_dev:
        os.close(entered)
        raise Refused("outside_workspace", "another file system is mounted there")
    return entered


def _step(directory: int, name: bytes) -> int:
    entered = enter(directory, name)
    os.close(directory)
    return entered


def kind_in(directory: int, name: bytes) -> str:
    return kind_of(os.stat(name, dir_fd=directory, follow_symlinks=False))


def kind_of(status: os.stat_result) -> str:
    return KINDS.get(stat.S_IFMT(status.st_mode), "device")


def open_file(workspace: Workspace, parts: Parts) -> int:
    """Open a regular file of a size that is handed out."""
    if not parts:
        raise Refused("is_directory", "it is the workspace itself")
    with workspace.directory(parts[:-1]) as directory:
        # Looked at first: opening can be felt by a device or by who waits at a pipe.
        _require_file(kind_in(directory, parts[-1]))
        descriptor = os.open(parts[-1], FILE, dir_fd=directory)
    try:
        # And again: it may be another one by now.
        _require_moderate(os.fstat(descriptor))
    except Refused:
        os.close(descriptor)
        raise
    return descriptor


def _require_moderate(status: os.stat_result) -> None:
    _require_file(kind_of(status))
    if status.st_size > FILE_BYTES:
        raise Refused(*TOO_LARGE)


def _require_file(kind: str) -> None:
    if kind == "link":
        raise Refused(*LINK)
    if kind == "directory":
        raise Refused("is_directory", "it is a directory")
    if kind != "file":
        raise Refused("not_a_file", f"it is a {kind}")
