"""Slow clients cost little, and neighbours cannot look in."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.agents.agent_server.client import eventually, send


def resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def test_clients_that_never_read_cost_a_bounded_amount_of_memory(client, server):
    id = client.start("head", "-c", "9000000", "/dev/zero")
    client.finish(id)
    before = resident_bytes(server.process.pid)
    idle = []
    for _ in range(50):
        stream = client.authenticated()
        send(stream, {"verb": "attach", "id": id, "offset": 0})
        idle.append(stream)
    assert client.finish(id)[0] == b"\0" * 9_000_000
    assert resident_bytes(server.process.pid) - before < 50 * 400_000
    for stream in idle:
        stream.close()


def test_a_follower_that_leaves_a_silent_operation_frees_its_descriptors(client, server):
    descriptors = f"/proc/{server.process.pid}/fd"
    id = client.start("sleep", "300")
    before = len(os.listdir(descriptors))
    for _ in range(20):
        with client.authenticated() as stream:
            send(stream, {"verb": "attach", "id": id, "offset": 0})
            stream.readline()
    eventually(lambda: len(os.listdir(descriptors)) <= before)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_an_operation_cannot_read_the_servers_environment(stopped_server):
    # Root may read everything unless it has given up its capabilities.
    wrapper = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    client = stopped_server.start(wrapper=wrapper).client
    out, err, _ = client.run("sh", "-c", "cat /proc/$PPID/environ; cat /proc/self/status")
    assert b"TRINITY_RUN_DIR" not in out
    assert b"Permission denied" in err
    out, _, _ = client.run("sh", "-c", "cat /proc/$$/environ")
    assert b"TRINITY_OPERATION" in out
