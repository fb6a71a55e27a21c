"""Forgetting removes everything of an operation that has finished."""

from tests.agents.agent_server.client import new_id


def forget(client, id):
    return client.ask("forget", id=id, epoch=1)


def test_nothing_remains_on_disk(client, server):
    id = client.start("sh", "-c", "mkdir -p a/b; echo x > a/b/c; chmod 0 a/b a; echo hi")
    client.finish(id)
    assert forget(client, id) == {"ok": True}
    assert list((server.spool / "operations").iterdir()) == []
    assert list((server.spool / "trash").iterdir()) == []
    assert client.ask("ping")["operations"] == []
    assert client.ask("attach", id=id, offset=0)["code"] == "unknown_operation"


def test_links_in_the_directory_are_removed_and_not_followed(client, server):
    kept = server.workspace / "kept"
    kept.write_text("precious")
    id = client.start("ln", "-s", str(server.workspace), "link")
    client.finish(id)
    forget(client, id)
    assert kept.read_text() == "precious"


def test_a_running_operation_is_not_forgotten(client):
    id = client.start("sleep", "60")
    assert forget(client, id)["code"] == "running"
    client.signal(id, "KILL")


def test_an_unknown_operation_is_forgotten_already(client):
    assert forget(client, new_id()) == {"ok": True}
