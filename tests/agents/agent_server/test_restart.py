"""A server that is killed loses no byte and no operation."""

import json
import os

import pytest

from tests.agents.agent_server.client import END


def test_an_operation_cut_off_by_a_kill_is_lost_and_its_output_readable(client, server):
    id = client.start("sh", "-c", "echo before; exec sleep 300")
    next(client.attach(id))
    server.kill()
    server.start()
    assert client.ask("ping")["operations"] == [id]
    out, _, end = client.finish(id)
    assert (out, end["reason"], end["exit_code"]) == (b"before\n", "lost", None)


def test_a_finished_operation_keeps_its_end(client, server):
    id = client.start("sh", "-c", "echo kept; exit 5")
    before = client.finish(id)
    server.kill()
    server.start()
    assert client.finish(id) == before


@pytest.mark.parametrize("remains", [b"\x01", b"\x01" + b"\0" * 8 + b"\0\0\1\0half", b"\0" * 50])
def test_half_a_record_at_the_end_is_cut_off(client, server, remains):
    id = client.start("echo", "whole")
    client.finish(id)
    server.kill()
    with (server.spool / "operations" / id / "output").open("ab") as spool:
        spool.write(remains)
    server.start()
    records = list(client.attach(id))
    assert [payload for _, payload, _ in records[:-1]] == [b"whole\n"]
    assert records[-1][0] == END


def forge_fields(folder):
    (folder / "end.json").write_text('{"exit_code": "["}')


def forge_types(folder):
    fields = {"exit_code": [], "reason": 1, "detail": {}, "finished_at": "x", "truncated": 2}
    (folder / "end.json").write_text(json.dumps(fields))


def forge_by_pipe(folder):
    for name in ("end.json", "output", "../../epoch"):
        (folder / name).unlink()
        os.mkfifo(folder / name)


def forge_by_directory(folder):
    for name in ("end.json", "output"):
        (folder / name).unlink()
        (folder / name / "full").mkdir(parents=True)


def forge_by_link(folder):
    (folder / "output").unlink()
    (folder / "output").symlink_to("/etc/passwd")
    (folder / "end.json").unlink()


@pytest.mark.parametrize(
    "forge", [forge_fields, forge_types, forge_by_pipe, forge_by_directory, forge_by_link]
)
def test_files_that_a_program_has_replaced_are_not_believed(client, server, forge):
    id = client.start("echo", "true")
    client.finish(id)
    server.kill()
    forge(server.spool / "operations" / id)
    server.start()
    out, _, end = client.finish(id)
    assert end["reason"] == "lost"
    assert b"root" not in out
    assert client.ask("forget", id=id, epoch=1)["ok"]
    assert client.run("true")[2]["exit_code"] == 0


def leave_file(path):
    path.write_text("rubbish")


def leave_link(path):
    path.symlink_to("/etc/passwd")


def leave_directory(path):
    path.mkdir()


def leave_full_directory(path):
    path.mkdir()
    (path / "file").touch()


@pytest.mark.parametrize("leave", [leave_file, leave_link, leave_directory, leave_full_directory])
def test_whatever_stands_in_the_place_of_the_socket_is_replaced(server, client, leave):
    server.kill()
    path = server.run / "agent.sock"
    path.unlink()
    leave(path)
    server.start()
    assert client.ask("ping")["ok"]
    assert os.stat(path, follow_symlinks=False).st_mode & 0o777 == 0o777
