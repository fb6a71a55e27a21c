"""TERM to the server ends everything in order."""

import json
import time

from tests.agents.agent_server.client import is_running


def end_of(server, id):
    return json.loads((server.spool / "operations" / id / "end.json").read_bytes())


def test_running_operations_are_recorded_as_lost(client, server):
    id = client.start("sh", "-c", "echo $$; exec sleep 300")
    following = client.attach(id)
    pid = int(next(following)[1])
    assert server.terminate() == (0, "")
    end = end_of(server, id)
    assert (end["reason"], end["detail"]) == ("lost", "the container was stopped")
    assert json.loads(next(following)[1]) == end
    assert not is_running(pid)


def test_one_that_ignores_term_is_killed_after_five_seconds(client, server):
    id = client.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    next(client.attach(id))
    began = time.monotonic()
    assert server.terminate() == (0, "")
    assert 4.5 < time.monotonic() - began < 30
    assert end_of(server, id)["exit_code"] == -9


def test_idle_clients_do_not_delay_the_stop(client, server):
    with client.connect(), client.authenticated():
        began = time.monotonic()
        assert server.terminate()[0] == 0
    assert time.monotonic() - began < 4.5
