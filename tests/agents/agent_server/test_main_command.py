"""The agent's own program runs beside the operations; its end is the container's."""

import json

from tests.agents.agent_server.client import is_running


def configured(server, **environment):
    assert server.client.ask("configure", environment=environment) == {"ok": True, "taken": True}
    return server


def test_its_output_is_the_containers_and_its_exit_code_too(stopped_server):
    command = ["sh", "-c", "echo from the agent; exit 9"]
    server = stopped_server.start(TRINITY_COMMAND=json.dumps(command))
    configured(server)
    code, output = server.wait()
    assert code == 9
    assert output == "from the agent\nthe agent's command exited with code 9\n"


def test_operations_run_beside_it_and_both_end_by_term(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["sh", "-c", "echo $$; exec sleep 300"]')
    configured(server)
    pid = int(server.process.stdout.readline())
    assert server.client.run("echo", "beside")[0] == b"beside\n"
    assert server.terminate()[0] == 0
    assert not is_running(pid)


def test_one_that_cannot_be_started_ends_the_server(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["/no/such/program"]')
    configured(server)
    code, output = server.wait()
    assert code == 127
    assert "could not be started" in output


def test_it_starts_with_what_the_agent_was_given(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["sh", "-c", "echo $TOKEN"]')
    assert server.client.run("echo", "serves before")[0] == b"serves before\n"
    configured(server, TOKEN="hush")
    assert server.wait()[1].startswith("hush\n")


def test_one_that_was_given_nothing_yet_ends_by_term(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["echo", "started"]')
    assert server.terminate() == (0, "")


def test_another_environment_does_not_start_it_twice(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["sh", "-c", "echo started; exec sleep 300"]')
    configured(server)
    assert server.process.stdout.readline() == b"started\n"
    configured(server, TOKEN="hush")
    assert server.terminate() == (0, "")
