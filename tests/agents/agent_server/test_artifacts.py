"""What an operation leaves in its ``out`` is given whole, and nothing else is."""

import os

import pytest

from tests.agents.agent_server.artifact_client import LENGTH, given, shell
from tests.agents.agent_server.client import new_id, receive, send

MB = 1024**2


def out_of(server, operation):
    return server.spool / "operations" / operation / "out"


def test_files_come_with_their_paths_to_the_byte(client):
    operation = shell(client, 'cd "$TRINITY_OUT"; mkdir -p a/b; printf one > a/b/c; printf > empty')
    assert given(client, operation) == ({"ok": True}, {b"a/b/c": b"one", b"empty": b""}, {})


def test_those_on_top_come_first_and_then_by_name(client):
    operation = shell(client, 'cd "$TRINITY_OUT"; mkdir a c; touch a/2 a/1 c/1 b z')
    assert list(given(client, operation)[1]) == [b"b", b"z", b"a/1", b"a/2", b"c/1"]


def test_an_operation_that_leaves_nothing_has_none(client):
    assert given(client, shell(client, "true")) == ({"ok": True}, {}, {})


@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe", b"%2e%2e", b"-rf", b".hidden"])
def test_any_name_comes_back_to_the_byte(server, client, name):
    operation = shell(client, "true")
    with open(os.fsencode(out_of(server, operation)) + b"/" + name, "wb") as file:
        file.write(b"odd")
    assert given(client, operation)[1] == {name: b"odd"}


def test_links_pipes_and_sockets_are_left_out(server, client):
    operation = shell(
        client,
        'cd "$TRINITY_OUT"; ln -s /etc/passwd link; ln -s .. up; mkfifo pipe; echo plain > file;'
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'",
    )
    assert given(client, operation)[1:] == ({b"file": b"plain\n"}, {"not_a_file": 4})


@pytest.mark.parametrize("replaced", ["out", "."])
def test_a_directory_that_was_replaced_by_a_link_gives_nothing(server, client, tmp_path, replaced):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    operation = shell(client, "true")
    here = (out_of(server, operation).parent / replaced).resolve()
    here.rename(tmp_path / "moved")
    here.symlink_to(tmp_path)
    assert given(client, operation)[1:] == ({}, {"unreadable": 1})


def test_what_cannot_be_read_is_left_out(client):
    if os.getuid() == 0:
        pytest.skip("root reads everything")
    script = 'cd "$TRINITY_OUT"; mkdir shut; touch shut/in file; chmod 0 shut; install -m 0 file no'
    assert given(client, shell(client, script))[1:] == ({b"file": b""}, {"unreadable": 2})


def test_of_a_hundred_thousand_files_a_thousand_come(client):
    make = "import os\nfor n in range(100_000): os.mknod(os.environ['TRINITY_OUT'] + f'/{n:06}')"
    operation = client.start("python3", "-c", make)
    client.finish(operation)
    _, files, left_out = given(client, operation)
    assert list(files) == [b"%06d" % number for number in range(1000)]
    assert left_out == {"too_many": 99_000}


def test_a_sparse_terabyte_is_left_out_and_what_fits_comes(client):
    script = 'cd "$TRINITY_OUT"; truncate -s 1T a; truncate -s 60M b; truncate -s 60M c; echo > d'
    _, files, left_out = given(client, shell(client, script))
    assert {name: len(content) for name, content in files.items()} == {b"b": 60 * MB, b"d": 1}
    assert left_out == {"too_large": 2}


def test_a_path_that_is_too_long_is_left_out(client):
    name = "n" * 200
    script = f'cd "$TRINITY_OUT"; for _ in 1 2 3 4 5 6; do mkdir {name}; cd {name}; echo > f; done'
    _, files, left_out = given(client, shell(client, script))
    assert [len(path) for path in files] == [202, 403, 604, 805]
    # A directory, with all that is in it.
    assert left_out == {"name_too_long": 1}


def reading(client, operation):
    """Ask for a large file, and take its first part only."""
    stream = client.authenticated()
    send(stream, {"verb": "artifacts", "id": operation})
    assert receive(stream)["ok"]
    assert receive(stream)["path"] == "file"
    length = LENGTH.unpack(stream.read(LENGTH.size))[0]
    return stream, len(stream.read(length))


@pytest.mark.parametrize(("mode", "change"), [("ab", 5_000_000), ("r+b", -40_000_000)])
def test_a_file_that_changes_while_it_is_read_ends_and_that_is_told(server, client, mode, change):
    size = 50_000_000
    operation = shell(client, f'truncate -s {size} "$TRINITY_OUT"/file')
    stream, read = reading(client, operation)
    with stream:
        with (out_of(server, operation) / "file").open(mode) as file:
            file.truncate(size + change)
        while length := LENGTH.unpack(stream.read(LENGTH.size))[0]:
            read += len(stream.read(length))
        assert receive(stream)["left_out"]["changed"] == 1
    assert read == size if change > 0 else read < size


def test_an_operation_that_runs_gives_nothing_yet(client):
    operation = client.start("sleep", "60")
    assert given(client, operation)[0]["code"] == "running"


def test_one_that_is_forgotten_or_unknown_gives_nothing(client):
    operation = shell(client, 'echo > "$TRINITY_OUT/file"')
    client.ask("forget", id=operation, epoch=1)
    for unknown in (operation, new_id()):
        assert given(client, unknown)[0]["code"] == "unknown_operation"


def test_a_restarted_server_gives_what_there_was(server, client):
    operation = shell(client, 'echo kept > "$TRINITY_OUT/file"')
    server.kill()
    server.start()
    assert given(client, operation)[1] == {b"file": b"kept\n"}
