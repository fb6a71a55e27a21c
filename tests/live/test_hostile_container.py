"""A container that puts something else where its socket was gains nothing by it."""

import json
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.live.conftest import running
from tests.settled import rows
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

# The agent server's silence that Trinity bears, and a little more.
LOST_SECONDS = 75
REPLACE = """
import os, socket, sys, threading, time
kind, target = sys.argv[1], sys.argv[2]
path = "/run/trinity/agent.sock"
print("ready", flush=True)
while not os.path.exists("/tmp/now"):
    time.sleep(0.01)
os.unlink(path)

def listen(backlog):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o777)
    listener.listen(backlog)
    return listener

def answer(connection, replies):
    with connection, connection.makefile("rb") as heard:
        for line in heard:
            # Whatever the host tells before it knows who we are.
            print("heard", line.decode().strip(), flush=True)
            try:
                for reply in replies:
                    connection.sendall(reply)
            except OSError:
                return

def serve(replies):
    listener = listen(100)
    print("replaced", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, replies), daemon=True).start()

match kind:
    case "link":
        os.symlink(target, path)
    case "fifo":
        os.mkfifo(path, 0o777)
    case "file":
        open(path, "w").write("not a socket")
    case "directory":
        os.mkdir(path)
    case "nothing":
        pass
    case "full":
        # Whoever connects now would have to wait for an accept that never comes.
        listener = listen(0)
        queued = []
        for _ in range(3):
            waiting = socket.socket(socket.AF_UNIX)
            waiting.setblocking(False)
            try:
                waiting.connect(path)
            except BlockingIOError:
                pass
            queued.append(waiting)
    case "silent":
        serve([])
    case "liar":
        zeros = b"0" * 64
        hello = b'{"protocol": 1, "generation": 1, "proof": "' + zeros + b'", "challenge": "'
        serve([hello + zeros + b'"}\\n'])
    case "flood":
        serve([b"x" * 65536] * 10**6)
print("replaced", flush=True)
time.sleep(600)
"""
KINDS = ("fifo", "file", "directory", "nothing", "full", "silent", "liar", "flood")


@pytest.fixture(scope="module")
def bait(own):
    """A server of the host, in a directory as each agent has one; it notes who comes."""
    folder = own.data_dir / "sockets" / "bait"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "agent.sock"))
        listener.listen(100)
        listener.setblocking(False)
        yield listener


@pytest.fixture(scope="module")
def hostile(own, bait, container_of):
    """Operations asked of agents whose sockets were replaced, by what was put there."""
    own.create_agent("neighbour")
    uid = rows(own, "SELECT uid FROM agents_agent WHERE name = 'neighbour'")[0][0]
    links = {
        "bait": str(own.data_dir / "sockets" / "bait" / "agent.sock"),
        "relative": "../bait/agent.sock",
        "neighbour": f"../{uid}-1/agent.sock",
        "engine": urlsplit(own.engine_url).path,
    }
    replaced = {f"link-{name}": ("link", target) for name, target in links.items()}
    replaced |= {kind: (kind, "") for kind in KINDS}
    return {
        name: replace(own, container_of, name, arguments) for name, arguments in replaced.items()
    }


def replace(own, container_of, name, arguments):
    """Have the agent replace its socket; return that operation, and one that comes too late."""
    own.create_agent(name, resources={"memory": "1g", "cpu": "1"})
    spoiler = own.run(name, "python3", "-c", REPLACE, *arguments)

    def printed(line):
        return line in own.operation(spoiler)["result"]["logs"]

    # Only now: its own output too comes through the socket.
    wait_until(lambda: printed("ready"), seconds=20)
    assert container_of(own, name).exec_run(["touch", "/tmp/now"]).exit_code == 0
    wait_until(lambda: printed("replaced"), seconds=20)
    # One may still find the connection to the true server that was made ahead; then there is none.
    own.run(name, "true")
    return spoiler, own.run(name, "touch", "/home/developer/came-here")


@pytest.fixture(scope="module")
def own():
    with running() as product:
        yield product


def test_others_work_on_meanwhile(own, hostile):
    for _ in range(5):
        began = time.monotonic()
        outcome = own.finished(own.run("neighbour", "echo", "works"))
        assert outcome["result"]["logs"] == ["works"]
        assert own.get("/api/agents").status_code == 200
        assert time.monotonic() - began < 20


def test_its_operations_end_as_lost_and_reach_nobody(own, hostile, bait):
    def all_ended():
        outcomes = {name: own.operation(asked) for name, (_, asked) in hostile.items()}
        statuses = {outcome["status"] for outcome in outcomes.values()}
        return outcomes if not statuses & {"starting", "processing"} else None

    outcomes = wait_until(all_ended, seconds=LOST_SECONDS, step=0.5)
    errors = {name: outcome["result"]["error"] for name, outcome in outcomes.items()}
    odd = {name: outcomes[name] for name, error in errors.items() if error != "lost"}
    assert not odd, (odd, [own.agent(name) for name in odd], own.output()[-4000:])
    assert all(outcome["result"]["summary"] for outcome in outcomes.values())
    # Nobody came to the host's own server by any of the links.
    with pytest.raises(BlockingIOError), closing(bait.accept()[0]):
        pass
    # And the neighbour was asked for nothing that was not for it.
    seen = own.finished(
        own.run("neighbour", "sh", "-c", "ls /home/developer /var/lib/trinity/spool/operations")
    )["result"]["logs"]
    assert "came-here" not in seen
    assert not {asked for _, asked in hostile.values()} & set(seen)


@pytest.mark.parametrize("kind", ["silent", "liar", "flood"])
def test_a_server_without_the_key_is_told_nothing(own, hostile, kind):
    spoiler, _ = hostile[kind]

    def heard():
        lines = own.operation(spoiler, tail=1000)["result"]["logs"]
        return [
            json.loads(line.removeprefix("heard ")) for line in lines if line.startswith("heard ")
        ]

    assert {tuple(message) for message in wait_until(heard)} == {("challenge",)}


@pytest.mark.parametrize(("kind", "target"), [("directory", ""), ("link", "../bait/agent.sock")])
def test_a_restart_makes_it_right(own, bait, container_of, kind, target):
    # An agent of its own: what was asked of it meanwhile runs after the restart.
    name = f"restarted-{kind}"
    replace(own, container_of, name, (kind, target))
    answer = own.post(f"/api/agents/{name}/restart", {"timeout_seconds": 1})
    assert answer.status_code == 200, answer.text
    assert own.finished(own.run(name, "echo", "back"))["result"]["logs"] == ["back"]
