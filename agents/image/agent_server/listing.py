"""The tree below a directory, as much of it as one answer takes."""

import os
import time
from collections import deque
from itertools import islice
from typing import Any

from .files import Parts, Workspace, encoded, enter, kind_of
from .wire import Refused

Node = dict[str, Any]
Names = tuple[str, ...]

DEPTH = 10
ENTRIES = 5000
# A crowd in one directory leaves room for what lies in the others.
ENTRIES_BELOW = 1000
# The answer is one line of at most 1 MiB, and who asks waits five seconds for it.
ANSWER_BYTES = 900_000
ENTRY_BYTES = 110
SCANNED = 300_000
SECONDS = 3.0


class Listing:
    """Goes down level by level, so that what is left out is what lies deepest.

    A node whose children are not all there says ``truncated``.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._entries = ENTRIES
        self._bytes = ANSWER_BYTES
        self._scanned = SCANNED
        self._until = time.monotonic() + SECONDS

    def of(self, parts: Parts) -> Node:
        root: Node = {"children": []}
        with self._workspace.directory(parts) as top:
            waiting = deque(self._fill(root, top, ()))
            while waiting:
                names, node = waiting.popleft()
                waiting.extend(self._descend(node, top, names))
        return root

    def _descend(self, node: Node, top: int, names: Names) -> list[tuple[Names, Node]]:
        if len(names) >= DEPTH or self._is_over():
            node["truncated"] = True
            return []
        try:
            directory = _walk(top, names)
        except (OSError, Refused):
            # Removed, replaced or closed to us meanwhile.
            node["truncated"] = True
            return []
        try:
            return self._fill(node, directory, names)
        finally:
            os.close(directory)

    def _fill(self, node: Node, directory: int, names: Names) -> list[tuple[Names, Node]]:
        """Put in what lies in a directory; return the directories among it."""
        below = []
        most = ENTRIES_BELOW if names else ENTRIES
        for _, name in self._names(node, directory):
            if self._is_over() or len(node["children"]) >= most:
                node["truncated"] = True
                break
            try:
                child = _node(name, os.stat(name, dir_fd=directory, follow_symlinks=False))
            except OSError:
                continue
            self._entries -= 1
            self._bytes -= ENTRY_BYTES + len(child["name"])
            node["children"].append(child)
            if child["kind"] == "directory":
                below.append(((*names, name), child))
        return below

    def _names(self, node: Node, directory: int) -> list[tuple[bool, str]]:
        """Directories first; hidden names are left out."""
        with os.scandir(directory) as entries:
            found = list(islice(entries, self._scanned + 1))
        if len(found) > self._scanned:
            node["truncated"] = True
        self._scanned -= len(found)
        shown = (entry for entry in found if not entry.name.startswith("."))
        return sorted((not entry.is_dir(follow_symlinks=False), entry.name) for entry in shown)

    def _is_over(self) -> bool:
        room = min(self._entries, self._bytes, self._scanned)
        return room <= 0 or time.monotonic() > self._until


def _walk(top: int, names: Names) -> int:
    here = os.dup(top)
    try:
        for name in names:
            below = enter(here, os.fsencode(name))
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return here


def _node(name: str, status: os.stat_result) -> Node:
    kind = kind_of(status)
    node: Node = {"name": encoded(name), "kind": kind, "modified": status.st_mtime}
    if kind == "directory":
        node["children"] = []
    else:
        node["size"] = status.st_size
    return node
