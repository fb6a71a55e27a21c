"""Starting happens once, and only for the highest epoch seen."""

from concurrent.futures import ThreadPoolExecutor

from tests.agents.agent_server.client import new_id


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
