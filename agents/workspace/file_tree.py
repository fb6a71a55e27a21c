"""What an agent's server lists, checked and in the form in which it goes out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agents.answers.files import DirectoryNode, FileNode, FileTree
from agents.errors import AgentUnavailable
from agents.workspace.files import WORKSPACE, FilePath, name_of
from trinity.api import json_time

Told = dict[str, Any]
Node = DirectoryNode | FileNode

# The server ends earlier; one that does not is none of ours.
DEPTH = 20
LARGEST = 2**63


@dataclass(slots=True)
class _Tree:
    top: FilePath
    files: int = 0
    is_cut: bool = False

    def children(self, told: Told, path: FilePath) -> list[Node]:
        children = told.get("children")
        if not isinstance(children, list) or len(path.parts) - len(self.top.parts) > DEPTH:
            raise _rubbish()
        self.is_cut |= told.get("truncated") is True
        return [self._node(child, path) for child in children]

    def _node(self, told: Any, above: FilePath) -> Node:
        if not isinstance(told, dict):
            raise _rubbish()
        path = above.below(name_of(told))
        is_directory = told.get("kind") == "directory"
        node: Node = self._directory(told, path) if is_directory else self._file(told, path)
        if not path.is_text:
            # The only way to ask for it: its name is no text that JSON could carry.
            node["path_encoded"] = path.encoded
        return node

    def _directory(self, told: Told, path: FilePath) -> DirectoryNode:
        before = self.files
        node: DirectoryNode = {
            "name": path.name,
            "path": path.relative,
            "type": "directory",
            "children": self.children(told, path),
            "file_count": self.files - before,
            "modified": _time(told.get("modified")),
        }
        if told.get("truncated") is True:
            node["truncated"] = True
        return node

    def _file(self, told: Told, path: FilePath) -> FileNode:
        self.files += 1
        size = told.get("size")
        if type(size) is not int or not 0 <= size < LARGEST:
            raise _rubbish()
        node: FileNode = {
            "name": path.name,
            "path": path.relative,
            "type": "file",
            "size": size,
            "modified": _time(told.get("modified")),
        }
        if told.get("kind") != "file":
            # Links, pipes and the like: they can be deleted, but not downloaded.
            node["special"] = True
        return node


def as_json(told: Told, path: FilePath) -> FileTree:
    """Raise AgentUnavailable for what is no tree."""
    tree = _Tree(path)
    children = tree.children(told, path)
    return {
        "base_path": WORKSPACE,
        "requested_path": path.absolute,
        "name": path.name,
        "type": "directory",
        "tree": children,
        "children": children,
        "total_files": tree.files,
        "truncated": tree.is_cut,
    }


def _time(told: Any) -> str | None:
    """A file can carry times that no calendar has."""
    try:
        return json_time(datetime.fromtimestamp(told, UTC))
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _rubbish() -> AgentUnavailable:
    return AgentUnavailable("The agent server lists something that is no file")
