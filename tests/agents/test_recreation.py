"""What only a new container can change gives the agent one with its next start."""

from datetime import timedelta
from pathlib import Path

import pytest

from agents import containers as contract
from agents import reconcile, starting
from agents.errors import AgentUnavailable, EngineRefused, EngineUnavailable
from agents.models import Agent
from tests.agents.interrupted import Witness, interrupted, make_due, recreate, supervise
from tests.factories import client_of, make_agent
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

PATH = "/api/agents/scribe"
SHOWS = ["sh", "-c", 'echo "$TOKEN" > token; exec sleep 600']


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(reconcile, "RETRY", timedelta(0))


@pytest.fixture
def agent():
    return make_agent(name="scribe")


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def does(client, verb):
    answer = client.post(f"{PATH}/{verb}", {"timeout_seconds": 1})
    assert answer.status_code == 200, answer.json()


def is_needed(client):
    return client.get(PATH).json()["recreate_needed"]


def container_of(agent, containers):
    agent.refresh_from_db()
    return containers.inspect(agent.container_id)


def set_token(client, value="hush"):
    body = {"variables": [{"name": "TOKEN", "value": value}]}
    assert client.put(f"{PATH}/environment", body).status_code == 200


def change_image(agent, containers, settings):
    settings.TRINITY_IMAGES = [*settings.TRINITY_IMAGES, "other:1"]
    containers.images.add("other:1")
    agent.record(image="other:1")


def upgrade(_agent, _containers, settings):
    """The sources of the image that is made here are no longer those it was made from."""
    settings.TRINITY_IMAGE_CONTEXT = Path(settings.BASE_DIR) / "docs"


CHANGES = {
    "image": change_image,
    "sources of the image": upgrade,
    "network": lambda agent, *_: agent.record(network="none"),
    "command": lambda agent, *_: agent.record(command=SHOWS),
    "secret": lambda agent, *_: set_token(client_of(agent.owner)),
}


@pytest.mark.parametrize("verbs", [["restart"], ["stop", "start"]], ids=" and ".join)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_beforehand_and_made_with_the_next_start(
    agent, client, containers, settings, change, verbs
):
    does(client, "start")
    before = container_of(agent, containers)
    assert not is_needed(client)
    change(agent, containers, settings)
    assert is_needed(client)
    assert container_of(agent, containers).id == before.id
    for verb in verbs:
        does(client, verb)
    assert not is_needed(client)
    after = container_of(agent, containers)
    assert after.id != before.id
    assert (after.name, agent.generation) == (before.name, 2)
    assert after.labels["trinity.spec"] == agent.container_spec != before.labels["trinity.spec"]
    assert len(containers._containers) == 1


def test_what_runs_is_not_recreated_by_a_start(agent, client, containers):
    does(client, "start")
    before = container_of(agent, containers)
    set_token(client)
    does(client, "start")
    assert container_of(agent, containers) == before
    assert is_needed(client)


def test_what_can_be_changed_otherwise_makes_no_new_container(agent, client, containers):
    does(client, "start")
    before = container_of(agent, containers)
    client.put(f"{PATH}/resources", {"memory": "1g", "cpu": "1"})
    client.patch(PATH, {"type": "other", "description": "other", "tags": ["other"]})
    assert not is_needed(client)
    does(client, "restart")
    assert container_of(agent, containers).id == before.id


def test_a_value_that_is_set_again_as_it_was_needs_nothing(agent, client):
    set_token(client, "one")
    does(client, "start")
    set_token(client, "two")
    assert is_needed(client)
    set_token(client, "one")
    assert not is_needed(client)


def test_an_agent_that_has_no_container_needs_none_anew(agent, client):
    set_token(client)
    assert not is_needed(client)


def test_a_container_of_which_nothing_is_known_is_replaced(agent, client, containers):
    does(client, "start")
    agent.refresh_from_db()
    agent.record(container_spec="")
    assert is_needed(client)
    does(client, "restart")
    assert container_of(agent, containers).labels["trinity.generation"] == "2"


def test_programs_find_what_was_set(agent, client, containers):
    agent.record(command=SHOWS)
    set_token(client)
    does(client, "start")
    token = containers.folder / contract.volume_name(agent, "workspace") / "token"
    wait_until(lambda: token.exists() and token.read_text() == "hush\n")
    set_token(client, "other")
    does(client, "restart")
    wait_until(lambda: token.read_text() == "other\n")


def test_neither_a_secret_nor_what_gives_it_away_is_part_of_the_container(
    agent, client, containers, settings
):
    set_token(client)
    does(client, "start")
    spec = containers._get(container_of(agent, containers).id).spec
    assert set(spec.environment) == {"TRINITY_GENERATION"}
    assert "hush" not in str(spec)
    shown = spec.labels["trinity.spec"]
    settings.AGENT_KEY = "another"
    # Keyed: nobody can try values against what the engine shows.
    assert contract.spec_hash(agent) != shown


def test_a_secret_that_no_key_opens_is_told_by_name(agent, client, settings):
    set_token(client)
    settings.ENCRYPTION_KEYS = ["another"]
    answer = client.post(f"{PATH}/start")
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable_secret")
    assert "TOKEN" in answer.json()["detail"]
    set_token(client, "again")
    does(client, "start")


def test_a_new_container_that_does_not_come_up_is_taken_back(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = make_due(runs=True)
    before = agent.container_id
    connect = containers.connect

    def silent(container_id, directory):
        if container_id != before:
            raise AgentUnavailable("Nobody listens")
        return connect(container_id, directory)

    monkeypatch.setattr(containers, "connect", silent)
    monkeypatch.setattr(starting, "READY_SECONDS", 5)
    answer = client_of(agent.owner).post(f"{PATH}/restart")
    assert (answer.status_code, answer.json()["code"]) == (503, "start_failed")
    witness.check(agent, status="running")
    assert agent.container_id == before
    assert "Nobody listens; the container before runs again" in agent.status_reason
    # It was given what is set now, and is made as it should be.
    assert not is_needed(client_of(agent.owner))


def test_one_that_was_changed_again_in_the_middle_is_made_anew(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = left_by_the_engine(containers, make_due(runs=True))
    made = agent.container_id
    set_token(client_of(agent.owner), "newer")
    supervise()
    witness.check(agent, status="running")
    assert agent.container_id != made
    assert not is_needed(client_of(agent.owner))


def left_by_the_engine(containers, agent, *, moment=3):
    """A recreation in whose middle the engine went: the new container is made, the old runs."""

    def leave(_number):
        raise EngineUnavailable("The engine is away")

    with (
        interrupted(containers, at=moment, by=leave, after=False, writes=False),
        pytest.raises(EngineUnavailable),
    ):
        recreate(agent)
    agent.refresh_from_db()
    assert agent.recreation == "making"
    return agent


def test_one_left_in_the_middle_can_be_stopped(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = left_by_the_engine(containers, make_due(runs=True))
    does(client_of(agent.owner), "stop")
    witness.check(agent, status="stopped")


def test_one_left_in_the_middle_can_be_restarted(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = left_by_the_engine(containers, make_due(runs=True))
    does(client_of(agent.owner), "restart")
    witness.check(agent, status="running")
    assert agent.generation == 2


def test_one_left_in_the_middle_can_be_deleted(containers):
    agent = left_by_the_engine(containers, make_due(runs=True))
    assert client_of(agent.owner).delete(PATH).status_code == 200
    assert not containers._containers
    assert not Agent.objects.exists()
    assert list((containers.folder / "sockets").iterdir()) == []


def test_a_start_that_the_engine_broke_off_is_not_done_behind_its_back(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = left_by_the_engine(containers, make_due(runs=False))
    assert agent.desired == "stopped"
    supervise()
    witness.check(agent, status="stopped")


def test_an_old_container_that_cannot_be_removed_yet_is_removed_later(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = make_due(runs=True)
    old = agent.container_id
    with monkeypatch.context() as patch:
        patch.setattr(containers, "remove", refuse)
        does(client_of(agent.owner), "restart")
    agent.refresh_from_db()
    assert (agent.status, agent.recreation, agent.old_container_id) == ("running", "spent", old)
    pid = containers.inspect(agent.container_id).pid
    supervise()
    witness.check(agent, status="running")
    assert containers.inspect(agent.container_id).pid == pid


def refuse(_container_id):
    raise EngineRefused("The engine refused")


def test_an_image_that_is_missing_is_built_in_the_middle(containers, monkeypatch):
    witness = Witness(containers, monkeypatch)
    agent = make_due(runs=True)
    containers.images.clear()
    does(client_of(agent.owner), "restart")
    agent.refresh_from_db()
    assert (agent.status, agent.status_reason) == ("starting", "the image is being built")
    supervise()
    witness.check(agent, status="running")
    assert agent.generation == 2


def test_an_agent_that_went_down_with_its_host_runs_again_whatever_becomes_of_the_new_container(
    containers, monkeypatch
):
    witness = Witness(containers, monkeypatch)
    agent = make_due(runs=True)
    before = agent.container_id
    containers.stop(before)
    agent.record(status="stopped")
    create = containers.create
    monkeypatch.setattr(containers, "create", lambda _spec: refuse(""))
    reconcile.finish(Agent.objects.get(pk=agent.pk))
    monkeypatch.setattr(containers, "create", create)
    witness.check(agent, status="running")
    assert agent.container_id == before
