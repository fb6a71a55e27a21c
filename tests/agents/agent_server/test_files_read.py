"""A file of the workspace, whole or not at all."""

import os

import pytest

from tests.agents.agent_server.file_client import asked, read

LIMIT = 100 * 1024**2


@pytest.mark.parametrize("content", [b"", b"text\n", os.urandom(1_000_000)])
def test_it_comes_to_the_byte(server, client, content):
    (server.workspace / "file").write_bytes(content)
    assert read(client, "file") == ({"ok": True, "size": len(content)}, content)


def test_any_name_can_be_asked_for(server, client):
    name = b"\xff\n%2F"
    with open(os.fsencode(server.workspace) + b"/" + name, "wb") as file:
        file.write(b"odd")
    assert read(client, name)[1] == b"odd"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "is_directory"),
        ("directory", "is_directory"),
        ("none", "not_found"),
        ("directory/none", "not_found"),
        ("file/none", "not_a_directory"),
        ("n" * 300, "bad_request"),
    ],
)
def test_what_is_no_file_is_refused(server, client, path, code):
    (server.workspace / "directory").mkdir()
    (server.workspace / "file").touch()
    assert read(client, path)[0]["code"] == code


@pytest.mark.parametrize(("size", "code"), [(LIMIT + 1, "too_large"), (2 * 1024**3, "too_large")])
def test_a_file_above_the_limit_is_refused(server, client, size, code):
    with (server.workspace / "sparse").open("wb") as file:
        file.truncate(size)
    assert read(client, "sparse")[0]["code"] == code


def test_a_file_at_the_limit_is_sent(server, client):
    with (server.workspace / "sparse").open("wb") as file:
        file.truncate(LIMIT)
    answer, content = read(client, "sparse")
    assert answer["size"] == len(content) == LIMIT


def test_what_is_added_meanwhile_is_left_out(server, client):
    path = server.workspace / "log"
    path.write_bytes(b"x" * 10_000_000)
    with asked(client, "files.read", "log") as (stream, answer):
        with path.open("ab") as file:
            file.write(b"y" * 1000)
        assert len(stream.read()) == answer["size"] == 10_000_000


def test_a_file_that_is_cut_meanwhile_ends_the_connection_early(server, client):
    path = server.workspace / "log"
    path.write_bytes(b"x" * 50_000_000)
    with asked(client, "files.read", "log") as (stream, answer):
        os.truncate(path, 1000)
        assert len(stream.read()) < answer["size"]
    assert client.ask("ping")["ok"]
