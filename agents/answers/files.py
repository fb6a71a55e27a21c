"""Files of a workspace."""

from typing import Literal, NotRequired, TypedDict

from trinity.answers import Time


class Place(TypedDict):
    """``path_encoded`` stands where the path is no text, to ask for it by."""

    name: str
    path: str
    path_encoded: NotRequired[str]
    modified: Time | None


class FileNode(Place):
    type: Literal["file"]
    size: int
    special: NotRequired[bool]


class DirectoryNode(Place):
    type: Literal["directory"]
    children: list["DirectoryNode | FileNode"]
    file_count: int
    truncated: NotRequired[bool]


class FileTree(TypedDict):
    base_path: str
    requested_path: str
    name: str
    type: Literal["directory"]
    tree: list[DirectoryNode | FileNode]
    children: list[DirectoryNode | FileNode]
    total_files: int
    truncated: bool


class Deleted(TypedDict):
    success: bool
    deleted: str
    type: Literal["file", "directory"]


class Uploaded(TypedDict):
    success: bool
    path: str
    size: int
