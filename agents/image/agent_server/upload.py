"""A file that is written under another name and takes its own when it is whole."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from .files import FILE_BYTES, TOO_LARGE, Parts, Workspace, enter, kind_in
from .wire import Refused


class Upload:
    """Takes the bytes; only ``finish`` makes them visible."""

    def __init__(self, directory: int, missing: Parts, mode: int) -> None:
        self._directory = directory
        self._missing = missing
        self._temporary = f".trinity-upload-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self._descriptor = os.open(self._temporary, flags, mode, dir_fd=directory)
        self.size = 0

    def write(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > FILE_BYTES:
            raise Refused(*TOO_LARGE)
        while part:
            part = part[os.write(self._descriptor, part) :]

    def finish(self) -> None:
        """Take the place of whatever has the name now, a link included."""
        os.fsync(self._descriptor)
        *above, name = self._missing
        with _made(self._directory, above) as directory:
            os.rename(self._temporary, name, src_dir_fd=self._directory, dst_dir_fd=directory)
            os.fsync(directory)

    def close(self) -> None:
        os.close(self._descriptor)
        # Found only where it was not finished.
        with suppress(OSError):
            os.unlink(self._temporary, dir_fd=self._directory)


@contextmanager
def uploading(workspace: Workspace, parts: Parts) -> Iterator[Upload]:
    """Give an upload of which nothing is left unless it is finished.

    Directories that are missing above the file are made at the end, too.
    """
    if not parts:
        raise Refused("is_directory", "it is the workspace itself")
    with workspace.nearest(parts[:-1]) as (directory, missing):
        mode = _mode_of_present(directory, parts[-1]) if not missing else 0o666
        upload = Upload(directory, [*missing, parts[-1]], mode)
        try:
            yield upload
        finally:
            upload.close()


def _mode_of_present(directory: int, name: bytes) -> int:
    """What replaces a program can be run like it."""
    try:
        kind = kind_in(directory, name)
    except FileNotFoundError:
        return 0o666
    if kind == "directory":
        raise Refused("is_directory", "there is a directory of that name")
    if kind != "file":
        return 0o666
    return stat.S_IMODE(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode) & 0o777


@contextmanager
def _made(directory: int, names: Parts) -> Iterator[int]:
    """Give a directory below another, which is made where it is missing."""
    with ExitStack() as opened:
        for name in names:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=directory)
            directory = enter(directory, name)
            opened.callback(os.close, directory)
        yield directory
