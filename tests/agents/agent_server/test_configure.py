"""The agent's environment is handed over, kept in memory, and found by its operations."""

import pytest

SECRET = "hush-hush-hush"


def variables(client, **spec):
    out, _, _ = client.run("env", **spec)
    return dict(line.split("=", 1) for line in out.decode().splitlines())


def give(client, **environment):
    return client.ask("configure", environment=environment)


def test_operations_find_it(client):
    assert give(client, TOKEN=SECRET, EMPTY="") == {"ok": True, "taken": True}
    found = variables(client)
    assert (found["TOKEN"], found["EMPTY"]) == (SECRET, "")


def test_an_operations_own_value_wins(client):
    give(client, COLOUR="blue", SHAPE="round")
    found = variables(client, env={"COLOUR": "red"})
    assert (found["COLOUR"], found["SHAPE"]) == ("red", "round")


def test_what_is_the_platforms_own_cannot_be_taken(client, server):
    give(client, TRINITY_WORKSPACE="/elsewhere")
    assert variables(client)["TRINITY_WORKSPACE"] == str(server.workspace)


def test_the_next_one_takes_the_place_of_the_first(client):
    give(client, FIRST="1")
    give(client, SECOND="2")
    found = variables(client)
    assert "FIRST" not in found
    assert found["SECOND"] == "2"


def test_one_that_is_only_for_a_server_without_any_is_not_taken_by_another(client):
    only_first = {"unless_configured": True}
    answers = [
        client.ask("configure", environment={"NAME": value}, **only_first)["taken"]
        for value in ("first", "second")
    ]
    assert answers == [True, False]
    assert variables(client)["NAME"] == "first"


def test_it_is_not_in_the_servers_own_environment(client, server):
    give(client, TOKEN=SECRET)
    assert SECRET not in client.run("sh", "-c", "cat /proc/$PPID/environ")[0].decode()
    with open(f"/proc/{server.process.pid}/environ") as file:
        assert SECRET not in file.read()


def test_it_is_neither_written_nor_printed(client, server):
    give(client, TOKEN=SECRET)
    client.run("true")
    files = [path for path in server.spool.rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in path.read_bytes() for path in files)
    assert SECRET not in server.terminate()[1]


def test_it_takes_a_quarter_of_a_mebibyte(client):
    give(client, **{f"VALUE_{number}": "x" * 32 * 1024 for number in range(8)})
    assert client.run("sh", "-c", "echo ${#VALUE_7}")[0] == b"32768\n"


@pytest.mark.parametrize(
    "environment",
    [
        ["TOKEN"],
        {"TOKEN": 1},
        {"": SECRET},
        {"A=B": SECRET},
        {"TOKEN": "hush\0hush"},
        {"A\0": SECRET},
    ],
)
def test_what_is_no_environment_is_refused_without_repeating_it(client, environment):
    answer = client.ask("configure", environment=environment)
    assert (answer["ok"], answer["code"]) == (False, "bad_request")
    assert "hush" not in answer["detail"]
