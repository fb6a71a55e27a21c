"""Backup, restore and copies beside their original, with a real engine."""

import json
import shutil

import pytest

from tests.live.conftest import running
from tests.product import Product
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

WRITE = "echo mine > $TRINITY_WORKSPACE/notes; umask 077; mkdir $TRINITY_WORKSPACE/kept"
READ = "cat $TRINITY_WORKSPACE/notes; stat -c '%a %u' $TRINITY_WORKSPACE/kept $TRINITY_WORKSPACE"

CONTROL = "from agents.models import Host; print(Host.objects.local().report_only_reason)"
FOUND = (
    "import json; from agents.models import Found;"
    "print(json.dumps(list(Found.objects.values_list('kind', 'name', 'runs'))))"
)
LOSE = "from agents.models import Agent; Agent.objects.filter(name='lost').delete()"
ADOPT = """
from agents import found
from agents.models import Found
from trinity.audit import Actor
from trinity.models import User
thing = Found.objects.get(kind="container")
admin = User.objects.get(username="admin")
image = "trinity-agent-base:latest"
found.adopt(thing, Actor(admin), name="adopted", owner=admin, image=image)
"""


def shell(product, script):
    return product.manage("shell", "-v0", "-c", script).strip()


def work(product, agent, script):
    outcome = product.finished(product.run(agent, "sh", "-c", script))
    assert outcome["result"]["exit_code"] == 0, outcome
    return outcome["result"]["logs"]


def state(engine, product):
    """Of each container: which it is, whether it runs, and since when."""
    found = product.containers(engine)
    return {each.id: (each.name, each.status, each.attrs["State"]["StartedAt"]) for each in found}


def volumes(engine, product):
    return {each.name for each in engine.volumes.list() if product.instance in each.name}


def lose_engine(product, engine):
    """Stop it, and take all that it has off the engine."""
    product.stop()
    for container in product.containers(engine):
        container.remove(force=True)
    for name in volumes(engine, product):
        engine.volumes.get(name).remove(force=True)


@pytest.fixture
def original():
    with running() as product:
        product.create_agent("scribe")
        work(product, "scribe", WRITE)
        product.create_agent("stopped")
        product.post("/api/agents/stopped/stop", {"timeout_seconds": 1}).raise_for_status()
        product.create_agent("deleted")
        product.call("DELETE", "/api/agents/deleted").raise_for_status()
        yield product


@pytest.fixture
def beside(original):
    """An installation of the same engine with nothing in it yet."""
    product = Product()
    yield product
    product.stop()
    for log in product.data_dir.glob("*.log"):
        print(f"--- {log.name}\n{log.read_text()[-5000:]}")
    shutil.rmtree(product.data_dir, ignore_errors=True)


def test_a_copy_started_beside_its_original_harms_nothing(original, beside, engine):
    shutil.rmtree(beside.data_dir)
    # As an operator copies it, while the original runs.
    shutil.copytree(
        original.data_dir, beside.data_dir, ignore=shutil.ignore_patterns("sockets", "*.log")
    )
    before, volumes_before = state(engine, original), volumes(engine, original)
    beside.start()
    wait_until(lambda: "is a copy" in shell(beside, CONTROL), seconds=40, step=0.5)
    assert "report only: " in beside.output()
    for method, path, body in (
        ("POST", "/api/agents/scribe/stop", {}),
        ("POST", "/api/agents/stopped/start", {}),
        ("DELETE", "/api/agents/scribe?workspace=remove", None),
        ("POST", "/api/v1/operations", {"agent": "scribe", "command": ["true"]}),
    ):
        answer = beside.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "report_only"), answer.text
    # What it shows is true all the same.
    assert beside.agent("scribe")["status"] == "running"
    assert beside.agent("stopped")["status"] == "stopped"
    beside.stop()
    assert state(engine, original) == before
    assert volumes(engine, original) == volumes_before
    # The original has noticed nothing, and goes on.
    assert shell(original, CONTROL) == ""
    assert work(original, "scribe", READ)[0] == "mine"


def test_workspaces_are_restored_and_agents_run_on_an_administrators_word(
    original, beside, engine, tmp_path
):
    path = tmp_path / "whole.tar"
    said = original.manage("backup", "--workspaces", str(path))
    assert "workspace of scribe" in said
    assert "workspace of deleted" in said
    expected = work(original, "scribe", READ)
    lose_engine(original, engine)

    beside.manage("restore", "--workspaces", str(path))
    beside.start()
    wait_until(lambda: beside.agent("scribe")["status"] == "missing", seconds=40, step=0.5)
    assert "restored from a backup" in shell(beside, CONTROL)
    assert state(engine, beside) == {}
    beside.manage("take_control")
    wait_until(lambda: beside.agent("scribe")["status"] == "running", seconds=60, step=0.5)
    assert work(beside, "scribe", READ) == expected
    assert beside.agent("stopped")["status"] in {"stopped", "missing"}
    beside.remove()


def test_containers_without_a_row_are_shown_and_adopted_by_hand(own_product, engine):
    own_product.create_agent("lost")
    work(own_product, "lost", WRITE)
    own_product.stop()
    shell(own_product, LOSE)
    own_product.start()
    wait_until(lambda: len(json.loads(shell(own_product, FOUND))) == 3, seconds=30, step=0.5)
    [container] = own_product.containers(engine)
    assert container.status == "running"
    shell(own_product, ADOPT)
    assert own_product.agent("adopted")["status"] == "running"
    assert work(own_product, "adopted", READ)[0] == "mine"
    assert json.loads(shell(own_product, FOUND)) == []
    assert len(own_product.containers(engine)) == 1


def test_a_deleted_agents_workspace_stays_on_the_engine_and_comes_back(own_product, engine):
    own_product.create_agent("scribe")
    work(own_product, "scribe", WRITE)
    own_product.call("DELETE", "/api/agents/scribe").raise_for_status()
    assert own_product.containers(engine) == []
    [volume] = volumes(engine, own_product)
    assert volume.endswith("-workspace")
    shell(own_product, RESTORE)
    assert own_product.agent("scribe")["status"] == "running"
    assert work(own_product, "scribe", READ)[0] == "mine"
    own_product.call("DELETE", "/api/agents/scribe?workspace=remove&log=remove").raise_for_status()
    assert volumes(engine, own_product) == set()


RESTORE = """
from agents import restoring
from agents.models import RetainedWorkspace
from trinity.audit import Actor
from trinity.models import User
restoring.restore(RetainedWorkspace.objects.get(), Actor(User.objects.get(username="admin")))
"""
