"""Deleting removes what is named, wholly, and nothing else."""

import os
import threading
from contextlib import suppress

import pytest

from tests.agents.agent_server.file_client import deleted


def test_a_file_is_deleted(server, client):
    for name in ("file", "other"):
        (server.workspace / name).touch()
    assert deleted(client, "file") == {"ok": True, "kind": "file"}
    assert os.listdir(server.workspace) == ["other"]


@pytest.mark.parametrize("name", [b"\xff\xfe", b"two\nlines", b"%2e%2e", b"-rf", b".hidden"])
def test_any_name_can_be_deleted(server, client, name):
    open(os.fsencode(server.workspace) + b"/" + name, "w").close()
    assert deleted(client, name)["ok"]
    assert os.listdir(server.workspace) == []


def test_a_directory_is_deleted_with_all_that_is_in_it(server, client):
    for path in ("a/b/c", "a/d/e/f", "a/.hidden/g", "kept/h"):
        (server.workspace / path).parent.mkdir(parents=True)
        (server.workspace / path).touch()
    assert deleted(client, "a") == {"ok": True, "kind": "directory"}
    assert [str(path.relative_to(server.workspace)) for path in server.workspace.rglob("*")] == [
        "kept",
        "kept/h",
    ]


@pytest.mark.parametrize("path", ["none", "none/file"])
def test_what_is_not_there_is_told(client, path):
    assert deleted(client, path)["code"] == "not_found"


def test_a_tree_deeper_than_any_path_is_deleted(server, client):
    (server.workspace / "deep").mkdir()
    here = os.open(server.workspace / "deep", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert deleted(client, "deep")["ok"]
    assert os.listdir(server.workspace) == []


def test_many_files_and_directories_are_deleted(server, client):
    for number in range(3000):
        (server.workspace / "crowd" / f"d{number}").mkdir(parents=True)
        (server.workspace / "crowd" / f"f{number}").touch()
    assert deleted(client, "crowd")["ok"]
    assert os.listdir(server.workspace) == []


def test_a_tree_that_was_made_read_only_is_deleted(server, client):
    inner = server.workspace / "cache" / "module"
    inner.mkdir(parents=True)
    (inner / "source").touch()
    inner.chmod(0o555)
    inner.parent.chmod(0o555)
    assert deleted(client, "cache")["ok"]
    assert os.listdir(server.workspace) == []


def test_directories_that_are_moved_meanwhile_take_nobody_with_them(server, client):
    kept, stop = server.workspace / "kept", threading.Event()
    (kept / "precious").mkdir(parents=True)
    (kept / "precious" / "file").touch()

    def move():
        while not stop.is_set():
            for source, target in ((tree / "a", kept / "a"), (kept / "a", tree / "a")):
                with suppress(OSError):
                    source.rename(target)

    tree = server.workspace / "tree"
    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(100):
            for number in range(10):
                with suppress(OSError):
                    (tree / "a" / f"b{number}" / "c").mkdir(parents=True, exist_ok=True)
            answer = deleted(client, "tree")
            assert answer["ok"] or answer["code"] in {"changed", "not_found"}
    finally:
        stop.set()
        mover.join()
    assert (kept / "precious" / "file").exists()
