"""Removing a file, or a directory with all that is in it."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from .files import Parts, Workspace, enter, kind_in
from .wire import Refused


def remove(workspace: Workspace, parts: Parts) -> str:
    """Remove what lies there, a link and not what it names; return what kind it was."""
    if not parts:
        raise Refused("is_workspace", "the workspace itself cannot be deleted")
    with workspace.directory(parts[:-1]) as directory:
        kind = kind_in(directory, parts[-1])
        if kind == "directory":
            _Removal(directory, parts[-1]).run()
        else:
            os.unlink(parts[-1], dir_fd=directory)
    return kind


@dataclass(slots=True)
class _Level:
    """A directory that is being emptied, and which directories are left in it."""

    identity: tuple[int, int]
    left: list[bytes]


class _Removal:
    """Empties a tree of any depth with one descriptor and without recursion.

    The way back up is ``..``, and goes on only if it leads to where we came from: a
    directory that is moved elsewhere in the middle must not take us with it.
    """

    def __init__(self, directory: int, name: bytes) -> None:
        self._here = os.dup(directory)
        self._levels = [_Level(_identity(directory), [name])]

    def run(self) -> None:
        try:
            while self._levels[0].left:
                if self._levels[-1].left:
                    self._go_down()
                else:
                    self._go_up()
        finally:
            os.close(self._here)

    def _go_down(self) -> None:
        self._move_to(enter(self._here, self._levels[-1].left[-1]))
        # What made it read-only, a package manager for one, cannot have meant us.
        with suppress(PermissionError):
            os.fchmod(self._here, stat.S_IRWXU)
        self._levels.append(_Level(_identity(self._here), _remove_files(self._here)))

    def _go_up(self) -> None:
        self._levels.pop()
        above = self._levels[-1]
        self._move_to(os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._here))
        if _identity(self._here) != above.identity:
            raise Refused("changed", "a directory was moved while it was deleted")
        os.rmdir(above.left.pop(), dir_fd=self._here)

    def _move_to(self, directory: int) -> None:
        os.close(self._here)
        self._here = directory


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino


def _remove_files(directory: int) -> list[bytes]:
    """Remove all but the directories, and return those."""
    directories = []
    for name in map(os.fsencode, os.listdir(directory)):
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            continue
        except (IsADirectoryError, PermissionError):
            if kind_in(directory, name) != "directory":
                raise
            directories.append(name)
    return directories
