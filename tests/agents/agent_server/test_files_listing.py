"""The tree of the workspace, as much of it as one answer takes."""

import os
import threading
import time

import pytest

from tests.agents.agent_server.file_client import listed, names, tree


def fill(directory, count, *, prefix=""):
    for number in range(count):
        (directory / f"{prefix}{number:06}").touch()


def test_directories_come_first_and_hidden_names_not_at_all(server, client):
    for path in ("b/inner/leaf", "a/leaf", ".hidden/leaf", "b/.hidden"):
        (server.workspace / path).parent.mkdir(parents=True, exist_ok=True)
        (server.workspace / path).touch()
    (server.workspace / "0").write_text("zero")
    answer = listed(client)
    assert tree(answer) == {
        "a": {"leaf": "file"},
        "b": {"inner": {"leaf": "file"}},
        "0": "file",
    }
    assert names(answer) == [b"a", b"b", b"0"]
    assert "truncated" not in answer


def test_a_file_has_its_size_and_time(server, client):
    path = server.workspace / "file"
    path.write_bytes(b"12345")
    os.utime(path, (1, 1_000_000.5))
    [node] = listed(client)["children"]
    assert node == {"name": "file", "kind": "file", "modified": 1_000_000.5, "size": 5}


def test_a_directory_below_is_listed_by_its_path(server, client):
    (server.workspace / "a" / ".b").mkdir(parents=True)
    (server.workspace / "a" / ".b" / "c").touch()
    assert tree(listed(client, "a/.b")) == {"c": "file"}


@pytest.mark.parametrize(
    ("path", "code"), [("none", "not_found"), ("none/a", "not_found"), ("file", "not_a_directory")]
)
def test_what_is_no_directory_is_refused(server, client, path, code):
    (server.workspace / "file").touch()
    assert listed(client, path)["code"] == code


NAMES = [b"two\nlines", b"\xff\xfe", "é€😀".encode(), b"%41", b"a b", b'"<b>', b"-rf", b"\x1b[31m"]


def test_every_name_comes_back_to_the_byte(server, client):
    for name in NAMES:
        open(os.fsencode(server.workspace) + b"/" + name, "w").close()
    assert sorted(names(listed(client))) == sorted(NAMES)


def test_a_hundred_thousand_entries_are_cut_off_in_time(server, client):
    crowd = server.workspace / "crowd"
    crowd.mkdir()
    fill(crowd, 100_000)
    (server.workspace / "z").touch()
    began = time.monotonic()
    answer = listed(client)
    assert time.monotonic() - began < 20
    node, last = answer["children"]
    assert node["truncated"]
    assert names(node) == [b"%06d" % number for number in range(1000)]
    assert last["name"] == "z"
    assert len(listed(client, "crowd")["children"]) == 5000


def test_a_crowd_leaves_room_for_what_lies_in_other_directories(server, client):
    for name in "abcd":
        (server.workspace / name).mkdir()
        fill(server.workspace / name, 3000 if name < "d" else 3)
    *crowds, last = listed(client)["children"]
    assert [(len(node["children"]), node["truncated"]) for node in crowds] == [(1000, True)] * 3
    assert (len(last["children"]), "truncated" in last) == (3, False)


def test_long_names_are_cut_off_before_the_answer_is_too_long(server, client):
    fill(server.workspace, 4000, prefix="é" * 120)
    with client.authenticated() as stream:
        stream.write(b'{"verb": "files.list", "path": ""}\n')
        stream.flush()
        assert len(stream.readline()) < 1024**2
    assert listed(client)["truncated"]


def test_what_lies_too_deep_is_cut_off(server, client):
    (server.workspace / "/".join("d" * 30)).mkdir(parents=True)
    node, depth = listed(client), 0
    while node["children"]:
        [node] = node["children"]
        depth += 1
    assert (depth, node["truncated"]) == (10, True)
    below = listed(client, "/".join("d" * 10))
    assert names(below) == [b"d"]


def test_a_directory_that_may_not_be_read_is_marked(server, client):
    if os.geteuid() == 0:
        pytest.skip("root may read all")
    (server.workspace / "closed").mkdir(mode=0)
    [node] = listed(client)["children"]
    assert (node["children"], node["truncated"]) == ([], True)


def test_directories_that_come_and_go_meanwhile_do_no_harm(server, client):
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            for number in range(20):
                path = server.workspace / f"d{number}"
                path.mkdir()
                (path / "file").touch()
            for number in range(20):
                path = server.workspace / f"d{number}"
                (path / "file").unlink()
                path.rmdir()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(200):
            answer = listed(client)
            assert answer["ok"]
            assert listed(client, "d3").get("code") in {None, "not_found"}
    finally:
        stop.set()
        thread.join()
