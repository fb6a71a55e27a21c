"""What a program finds around it."""

import os

from tests.agents.agent_server.client import new_id


def test_it_gets_its_own_variables_and_none_of_the_server(client, server):
    id = client.start("env", env={"COLOUR": "blue", "TRINITY_OPERATION": "forged"})
    out, _, _ = client.finish(id)
    variables = dict(line.split("=", 1) for line in out.decode().splitlines())
    ours = {name: value for name, value in variables.items() if name.startswith("TRINITY_")}
    assert ours == {
        "TRINITY_OPERATION": id,
        "TRINITY_WORKSPACE": str(server.workspace),
        "TRINITY_OUT": str(server.spool / "operations" / id / "out"),
    }
    assert variables["COLOUR"] == "blue"


def test_the_environment_is_never_written_to_disk(client, server):
    client.run("true", env={"TOKEN": "a-great-secret"})
    files = [path for path in server.spool.rglob("*") if path.is_file()]
    assert files
    assert not any(b"a-great-secret" in path.read_bytes() for path in files)


def test_it_works_in_an_empty_directory_of_its_own(client, server):
    id = client.start("sh", "-c", "pwd; ls -A; ls -A $TRINITY_OUT")
    out, _, _ = client.finish(id)
    assert out.decode() == f"{server.spool / 'operations' / id / 'work'}\n"


def test_a_workdir_is_below_the_workspace(client, server):
    (server.workspace / "project").mkdir()
    out, _, _ = client.run("pwd", workdir="project")
    assert out.decode() == f"{server.workspace / 'project'}\n"


def test_its_input_is_empty(client):
    assert client.run("cat")[2]["exit_code"] == 0


def test_it_inherits_no_descriptor_of_the_server(client):
    out, _, _ = client.run("sh", "-c", "ls /proc/$$/fd")
    assert out.split() == [b"0", b"1", b"2"]


def test_a_command_that_does_not_exist_ends_as_start_failed(client):
    id = new_id()
    out, err, end = client.finish(client.start("/no/such/program", id=id))
    assert (out, err, end["reason"], end["exit_code"]) == (b"", b"", "start_failed", None)
    assert end["detail"] == "No such file or directory: /no/such/program"


def test_a_missing_workdir_ends_as_start_failed(client):
    assert client.run("true", workdir="nowhere")[2]["reason"] == "start_failed"


def test_a_file_that_is_not_executable_ends_as_start_failed(client, server):
    script = server.workspace / "script"
    script.write_text("#!/bin/sh\n")
    os.chmod(script, 0o644)
    assert client.run(str(script))[2]["reason"] == "start_failed"
