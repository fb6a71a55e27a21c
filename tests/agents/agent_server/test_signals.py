"""Operations end when asked, in time, and leave nothing behind."""

import sys
import time
from pathlib import Path

from tests.agents.agent_server.client import eventually, is_running, new_id

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
# A daemon as they do it: a second fork in a session of its own, its parent gone.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.close(1), os.close(2)
        time.sleep(300)
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[1]))
"""
# The shell that has started it ends before it says its number.
BARE_DAEMON = "(env -i setsid sh -c 'echo $$; exec sleep 300 >/dev/null 2>&1' &)"


def first_line(client, id):
    return next(client.attach(id))[1].splitlines()[0]


def test_cancel_with_a_program_that_obeys(client):
    id = client.start("sleep", "60")
    assert client.signal(id, "TERM", grace_seconds=10, reason="canceled")["ok"]
    _, _, end = client.finish(id)
    assert (end["reason"], end["exit_code"]) == ("canceled", -15)


def test_a_program_that_ignores_term_is_killed_after_the_grace(client):
    id = client.start("sh", "-c", STUBBORN)
    first_line(client, id)
    began = time.monotonic()
    client.signal(id, "TERM", grace_seconds=1, reason="canceled")
    _, _, end = client.finish(id)
    assert (end["reason"], end["exit_code"]) == ("canceled", -9)
    assert 0.9 < time.monotonic() - began < 30


def test_a_signal_reaches_the_whole_group(client):
    id = client.start("sh", "-c", "sleep 300 & echo $!; wait")
    child = int(first_line(client, id))
    client.signal(id, "INT")
    client.signal(id, "KILL")
    client.finish(id)
    eventually(lambda: not is_running(child))


def test_a_signal_reaches_a_daemon_that_left_the_group(client):
    id = client.start(sys.executable, "-c", DAEMON, "300")
    daemon = int(first_line(client, id))
    client.signal(id, "TERM")
    client.finish(id)
    eventually(lambda: not is_running(daemon))


def test_what_the_main_process_leaves_behind_is_killed_and_reaped(client, server):
    id = client.start(sys.executable, "-c", DAEMON, "0")
    daemon = int(first_line(client, id))
    _, _, end = client.finish(id)
    assert end["reason"] == "exited"
    children = f"/proc/{server.process.pid}/task/{server.process.pid}/children"
    eventually(lambda: not is_running(daemon))
    eventually(lambda: Path(children).read_text() == "")


def test_daemons_without_our_mark_are_found_by_their_descent(client):
    """Also one that leaves the group between being found and being signalled."""
    daemonize = "for i in $(seq 20); do env -i setsid sleep 300 & d=$d,$!; done; echo $d; wait"
    id = client.start("sh", "-c", daemonize)
    daemons = [int(pid) for pid in first_line(client, id).split(b",")[1:]]
    client.signal(id, "KILL")
    client.finish(id)
    eventually(lambda: not any(is_running(daemon) for daemon in daemons))


def test_a_daemon_without_session_parents_or_environment_is_still_its_operations(client):
    """It ends with its own operation, and not with that of another."""
    first, second = [client.start("sh", "-c", f"{BARE_DAEMON}; exec sleep 300") for _ in range(2)]
    daemons = [int(first_line(client, id)) for id in (first, second)]
    for id, ended, goes_on in ((second, daemons[1], [daemons[0]]), (first, daemons[0], [])):
        client.signal(id, "TERM")
        client.finish(id)
        eventually(lambda: not is_running(ended))  # noqa: B023
        assert all(is_running(daemon) for daemon in goes_on)


def test_a_child_that_keeps_the_pipe_does_not_hold_up_the_end(client):
    began = time.monotonic()
    out, _, end = client.run("sh", "-c", "sleep 300 & echo done")
    assert (out, end["exit_code"]) == (b"done\n", 0)
    assert time.monotonic() - began < 60


def test_a_timeout_ends_with_that_reason(client):
    _, _, end = client.run("sleep", "60", timeout_seconds=0.5)
    assert (end["reason"], end["exit_code"]) == ("timeout", -15)
    assert end["detail"] == "ran longer than 0.5 s"


def test_signalling_a_finished_operation_is_no_error(client):
    id = client.start("true")
    client.finish(id)
    answer = client.signal(id, "TERM", reason="canceled")
    assert answer == {"ok": True, "state": "finished"}
    assert client.finish(id)[2]["reason"] == "exited"


def test_an_unknown_signal_or_operation_is_refused(client):
    id = client.start("sleep", "60")
    assert client.signal(id, "STOP")["code"] == "bad_request"
    assert client.signal(new_id(), "TERM")["code"] == "unknown_operation"
