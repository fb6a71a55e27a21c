"""An upload is there whole or not at all."""

import os
import stat

import pytest

from tests.agents.agent_server.client import eventually, receive
from tests.agents.agent_server.file_client import LENGTH, asked, part, written

LIMIT = 100 * 1024**2
PART = b"x" * (256 * 1024)


def everything(server):
    return sorted(str(path.relative_to(server.workspace)) for path in server.workspace.rglob("*"))


@pytest.mark.parametrize("contents", [[], [b"one"], [b"one", b"two"], [PART] * 5])
def test_it_is_stored_to_the_byte(server, client, contents):
    answer = written(client, "file", *contents)
    assert answer == {"ok": True, "size": len(b"".join(contents))}
    assert (server.workspace / "file").read_bytes() == b"".join(contents)
    assert everything(server) == ["file"]


def test_any_name_can_be_given(server, client):
    name = b"\xff\n%2F"
    assert written(client, name, b"odd")["ok"]
    assert os.listdir(os.fsencode(server.workspace)) == [name]


def test_directories_above_it_are_made(server, client):
    assert written(client, "a/b/c", b"deep")["ok"]
    assert (server.workspace / "a/b/c").read_bytes() == b"deep"


def test_it_replaces_a_file_and_can_be_run_like_it(server, client):
    path = server.workspace / "program"
    path.write_text("old")
    path.chmod(0o755)
    with path.open() as old:
        assert written(client, "program", b"new")["ok"]
        # Who reads the old one goes on reading it.
        assert old.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "is_directory"),
        ("directory", "is_directory"),
        ("file/below", "not_a_directory"),
        ("n" * 300, "bad_request"),
    ],
)
def test_a_place_that_cannot_take_it_is_refused(server, client, path, code):
    (server.workspace / "directory").mkdir()
    (server.workspace / "file").touch()
    before = everything(server)
    assert written(client, path)["code"] == code
    assert everything(server) == before


def test_more_than_the_limit_is_refused_and_leaves_nothing(server, client):
    (server.workspace / "file").write_text("old")
    answer = written(client, "file", *[PART] * (LIMIT // len(PART)), b"x")
    assert answer["code"] == "too_large"
    assert everything(server) == ["file"]
    assert (server.workspace / "file").read_text() == "old"


@pytest.mark.parametrize(
    "sent", [b"", b"\0\0", part(b"half"), LENGTH.pack(1000) + b"half", LENGTH.pack(2**32 - 1)]
)
def test_an_upload_that_is_cut_off_leaves_nothing(server, client, sent):
    (server.workspace / "file").write_text("old")
    with asked(client, "files.write", "new/file") as (stream, answer):
        assert answer["ok"]
        stream.write(sent)
        stream.flush()
        if sent != LENGTH.pack(2**32 - 1):
            assert any(name.startswith(".trinity-upload-") for name in everything(server))
    eventually(lambda: everything(server) == ["file"])
    assert client.ask("ping")["ok"]


def test_a_disk_that_is_full_is_told_and_leaves_nothing(stopped_server):
    # A limit on the size of files stands in for the disk's end.
    stopped_server.start(wrapper=["prlimit", f"--fsize={1024**2}"])
    answer = written(stopped_server.client, "file", *[PART] * 40)
    assert answer["code"] == "disk_full"
    assert everything(stopped_server) == []
    assert written(stopped_server.client, "file", b"small")["ok"]


def test_a_directory_that_takes_its_name_meanwhile_stays(server, client):
    with asked(client, "files.write", "name") as (stream, _):
        (server.workspace / "name").mkdir()
        stream.write(part(b"x") + part(b""))
        stream.flush()
        assert receive(stream)["code"] == "is_directory"
    assert everything(server) == ["name"]
