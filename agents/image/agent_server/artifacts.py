"""The verb that gives what an operation has left in its ``out`` directory.

Behind the answer comes for each file a line with its path, then its bytes in parts, each with
its length, the last of length 0; a length of ``SPOILT`` says that the file cannot be read on.
The last line has no path and tells what was left out, and why.
"""

import asyncio
import os
import struct
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

from . import wire
from .files import Parts, Workspace, open_file
from .operation import Operation
from .wire import Refused

FILES = 1000
BYTES = 100 * 1024**2
PATH_BYTES = 1000
# Whoever leaves more names behind gets the first of them looked at.
NAMES = 200_000
PART_BYTES = 256 * 1024
LENGTH = struct.Struct("!I")
SPOILT = 2**32 - 1


async def give(operation: Operation, writer: asyncio.StreamWriter) -> None:
    if operation.end is None:
        raise Refused("running", "the operation has not finished")
    giving = _Giving(operation, writer)
    await wire.send(writer, {"ok": True})
    await giving.run()


class _Giving:
    def __init__(self, operation: Operation, writer: asyncio.StreamWriter) -> None:
        path = operation.folder.path
        # From the directory of all operations on no link is followed.
        self._spool = Workspace(path.parent)
        self._out = (os.fsencode(path.name), os.fsencode(operation.folder.out.name))
        self._writer = writer
        self._room = BYTES
        self._left_out: Counter[str] = Counter()

    async def run(self) -> None:
        found = _Found(self._spool, self._out, self._left_out)
        for path in await asyncio.to_thread(lambda: list(found.files())):
            await self._file(path)
        told = {"ok": True, "left_out": self._left_out, "is_cut": found.is_cut}
        await wire.send(self._writer, told)

    async def _file(self, path: Parts) -> None:
        try:
            descriptor = await asyncio.to_thread(open_file, self._spool, (*self._out, *path))
        except (Refused, OSError) as error:
            self._left_out[_reason(error)] += 1
            return
        try:
            before = os.fstat(descriptor)
            if before.st_size > self._room:
                self._left_out["too_large"] += 1
                return
            self._room -= before.st_size
            await wire.send(self._writer, {"ok": True, "path": quote(b"/".join(path))})
            end = await self._content(descriptor, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        self._writer.write(LENGTH.pack(end))
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            self._left_out["changed"] += 1

    async def _content(self, descriptor: int, left: int) -> int:
        """Send so many bytes, or what there still is; return the length that ends the file."""
        while left > 0:
            try:
                part = await asyncio.to_thread(os.read, descriptor, min(PART_BYTES, left))
            except OSError:
                self._left_out["unreadable"] += 1
                return SPOILT
            if not part:
                return 0
            left -= len(part)
            self._writer.write(LENGTH.pack(len(part)) + part)
            await self._writer.drain()
        return 0


class _Found:
    """The regular files below a directory: those on top first, then by their names."""

    def __init__(self, spool: Workspace, top: Parts, left_out: "Counter[str]") -> None:
        self._spool = spool
        self._top = top
        self._left_out = left_out
        self._names_left = NAMES
        self.is_cut = False

    def files(self) -> Iterator[Parts]:
        waiting: deque[Parts] = deque([()])
        given = 0
        while waiting:
            for name, kind in self._entries(path := waiting.popleft()):
                entry = (*path, name)
                if kind == "directory":
                    waiting.append(entry)
                elif kind != "file":
                    self._left_out["not_a_file"] += 1
                elif given == FILES:
                    self._left_out["too_many"] += 1
                else:
                    given += 1
                    yield entry

    def _entries(self, path: Parts) -> list[tuple[bytes, str]]:
        try:
            with (
                self._spool.directory((*self._top, *path)) as directory,
                os.scandir(directory) as entries,
            ):
                some = islice(entries, self._names_left + 1)
                found = sorted((os.fsencode(each.name), _kind(each)) for each in some)
        except (Refused, OSError):
            self._left_out["unreadable"] += 1
            return []
        if len(found) > self._names_left:
            self.is_cut = True
            found.pop()
        self._names_left -= len(found)
        room = PATH_BYTES - sum(len(part) + 1 for part in path)
        fitting = [each for each in found if len(each[0]) <= room]
        self._left_out["name_too_long"] += len(found) - len(fitting)
        return fitting


def _kind(entry: "os.DirEntry[str]") -> str:
    try:
        if entry.is_dir(follow_symlinks=False):
            return "directory"
        return "file" if entry.is_file(follow_symlinks=False) else "other"
    except OSError:
        return "other"


def _reason(error: Exception) -> str:
    code: Any = getattr(error, "code", "")
    known = {
        "too_large": "too_large",
        "not_a_file": "not_a_file",
        "outside_workspace": "not_a_file",
    }
    return known.get(code, "unreadable")
