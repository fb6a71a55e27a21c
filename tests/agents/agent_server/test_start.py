"""Starting happens once, and only for the highest epoch seen."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.agents.agent_server.client import new_id, receive, send


def test_the_same_id_starts_once(client, server):
    id = new_id()
    script = f"echo x >> {server.workspace}/count"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.start("sh", "-c", script, id=id), range(16)))
    client.finish(id)
    client.start("sh", "-c", script, id=id)
    assert (server.workspace / "count").read_text() == "x\n"


def test_a_known_id_answers_with_its_state(client):
    id = client.start("sleep", "60")
    spec = {"command": ["true"]}
    assert client.ask("start", id=id, epoch=1, spec=spec)["state"] == "running"
    client.signal(id, "KILL")
    client.finish(id)
    assert client.ask("start", id=id, epoch=1, spec=spec)["state"] == "finished"


def test_what_it_writes_follows_the_answer_where_that_is_asked_for(client):
    spec = {"command": ["echo", "hello"]}
    with client.authenticated() as stream:
        send(stream, {"verb": "start", "id": new_id(), "epoch": 1, "spec": spec, "follow": 0})
        assert receive(stream)["follows"]
        assert b"hello" in stream.read()


def test_a_start_that_is_refused_is_not_followed(client):
    client.start("true", epoch=5)
    with client.authenticated() as stream:
        asked = {"id": new_id(), "epoch": 4, "spec": {"command": ["true"]}, "follow": 0}
        send(stream, {"verb": "start", **asked})
        assert receive(stream)["code"] == "stale_epoch"
        assert stream.read() == b""


def test_a_start_that_nobody_waits_for_any_more_is_refused(client, server):
    id, spec = new_id(), {"command": ["touch", f"{server.workspace}/begun"]}
    asked = {"id": id, "epoch": 1, "spec": spec}
    assert client.ask("start", **asked, before=time.time() - 1)["code"] == "late"
    assert client.ask("ping")["operations"] == []
    assert client.ask("start", **asked, before=time.time() + 60)["ok"]
    client.finish(id)
    # What has begun is told, however late.
    assert client.ask("start", **asked, before=time.time() - 1)["state"] == "finished"


def test_a_lower_epoch_is_refused_also_after_a_restart(client, server):
    id = client.start("true", epoch=5)
    client.finish(id)
    server.kill()
    server.start()
    spec = {"command": ["true"]}
    for request in (
        {"verb": "start", "id": new_id(), "epoch": 4, "spec": spec},
        {"verb": "signal", "id": id, "epoch": 4, "signal": "TERM"},
        {"verb": "forget", "id": id, "epoch": 4},
    ):
        assert client.ask(**request)["code"] == "stale_epoch"
    assert client.ask("forget", id=id, epoch=5) == {"ok": True}


def test_a_hundred_operations_at_once_each_keep_their_own_output(client):
    def run(number):
        out, _, end = client.run("sh", "-c", f"seq {number} {number + 2000}; echo {number} >&2")
        return out.split()[0], len(out.split()), end["exit_code"]

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(run, range(100)))
    assert answers == [(b"%d" % number, 2001, 0) for number in range(100)]
