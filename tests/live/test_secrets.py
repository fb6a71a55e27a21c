"""A secret is found by the agent's programs and nowhere else; its key can be replaced."""

import json

import pytest

from tests.live.conftest import running
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

# Nothing else has it, also not in part.
SECRET = "s3cr3t-5f1d8a70c2"
PATH = "/api/agents/keeper/environment"


@pytest.fixture(scope="module")
def own():
    """A product whose agent has a secret, and a program that was started with it."""
    with running(environment={"TRINITY_LOG_LEVEL": "INFO"}) as product:
        product.create_agent("keeper")
        answer = product.call("PUT", PATH, {"variables": [{"name": "TOKEN", "value": SECRET}]})
        answer.raise_for_status()
        product.post("/api/agents/keeper/restart", {"timeout_seconds": 1}).raise_for_status()
        yield product


@pytest.fixture(scope="module")
def container(own, engine):
    return engine.containers.get(own.agent("keeper")["container_id"])


def has_it(product):
    """Whether a program finds the secret; told without printing it."""
    test = f'test "$(printf %s "$TOKEN" | tail -c 6)" = {SECRET[-6:]} && echo yes'
    outcome = product.finished(product.run("keeper", "sh", "-c", test))
    return outcome["result"]["logs"] == ["yes"]


def in_container(container, command, *, user="1000"):
    return container.exec_run(["sh", "-c", command], user=user).output.decode(errors="replace")


def test_programs_find_it(own):
    assert has_it(own)


def test_the_engine_shows_nothing_of_it(own, container, engine):
    assert SECRET not in json.dumps(engine.api.inspect_container(container.id))
    assert SECRET not in container.logs().decode()


def test_it_lies_in_no_file_of_trinity(own):
    files = [path for path in own.data_dir.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    # Among them the database with what is not written back to it yet, and what was logged.
    assert {"trinity.sqlite3", "up.log", "key"} <= names
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_it_lies_in_no_file_of_the_container(own, container):
    places = "/run/trinity /var/lib/trinity /home/developer /tmp"
    found = f"grep -rlF {SECRET[:8]} {places} 2>/dev/null; echo looked"
    assert in_container(container, found) == "looked\n"


def test_other_programs_of_the_container_cannot_read_it_from_its_server(own, container):
    listed = in_container(
        container, "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done"
    )
    assert "/opt/trinity" in listed
    for user in ("1000", "0"):
        command = "cat /proc/[0-9]*/environ 2>&1 | tr '\\0' '\\n'"
        told = in_container(container, command, user=user)
        assert "TRINITY_GENERATION" in told
        assert SECRET not in told


def test_no_answer_shows_it(own):
    told = [
        own.get(path).text
        for path in (
            PATH,
            "/api/agents",
            "/api/agents/keeper",
            "/api/agents/keeper/logs?tail=1000",
            "/api/v1/operations",
        )
    ]
    assert json.loads(told[0])["variables"][0]["value"] is None
    wrong = {"variables": [{"name": "1BAD", "value": SECRET}]}
    told.append(own.call("PUT", PATH, wrong).text)
    told.append(own.call("PUT", PATH, {"variables": [{"name": "A", "value": [SECRET]}]}).text)
    events = "from trinity.models import AuditEvent; print(list(AuditEvent.objects.values()))"
    told.append(own.manage("shell", "-v0", "-c", events))
    assert "TOKEN (secret)" in told[-1]
    assert not [text for text in told if SECRET in text]


def test_another_key_takes_its_place_and_no_agent_notices(own, container):
    key_file = own.data_dir / "encryption.key"
    [old] = key_file.read_text().split()
    own.manage("rotate_keys", "--new")
    new, *rest = key_file.read_text().split()
    assert rest == [old] != [new]
    assert key_file.stat().st_mode & 0o077 == 0
    again(own)
    assert "1 values sealed" in own.manage("rotate_keys")
    assert "0 values sealed" in own.manage("rotate_keys")
    key_file.write_text(new)
    again(own)
    told = own.agent("keeper")
    assert (told["container_id"], told["status"]) == (container.id, "running")
    assert not told["recreate_needed"]
    assert has_it(own)
    # And it is opened with the new key when it is handed over once more.
    own.post("/api/agents/keeper/restart", {"timeout_seconds": 1}).raise_for_status()
    assert has_it(own)


def again(product):
    product.stop()
    product.start()
    wait_until(lambda: product.agent("keeper")["status"] == "running")
