"""The agent's own program runs beside the operations; its end is the container's."""

import json

from tests.agents.agent_server.client import is_running


def test_its_output_is_the_containers_and_its_exit_code_too(stopped_server):
    command = ["sh", "-c", "echo from the agent; exit 9"]
    server = stopped_server.start(TRINITY_COMMAND=json.dumps(command))
    code, output = server.wait()
    assert code == 9
    assert output == "from the agent\nthe agent's command exited with code 9\n"


def test_operations_run_beside_it_and_both_end_by_term(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["sh", "-c", "echo $$; exec sleep 300"]')
    pid = int(server.process.stdout.readline())
    assert server.client.run("echo", "beside")[0] == b"beside\n"
    assert server.terminate()[0] == 0
    assert not is_running(pid)


def test_one_that_cannot_be_started_ends_the_server(stopped_server):
    server = stopped_server.start(TRINITY_COMMAND='["/no/such/program"]')
    code, output = server.wait()
    assert code == 127
    assert "could not be started" in output
