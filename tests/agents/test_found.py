"""What lies on the engine without a row is shown, and adopted or removed by people alone."""

import pytest

from agents import control, found
from agents.errors import ImageNotAllowed, NameTaken, NotFoundAnyMore, ReportOnly
from agents.models import Agent, Found, Host
from tests.factories import client_of, make_administrator, make_agent, make_user
from trinity.audit import Actor
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

IMAGE = "trinity-agent-base:latest"


@pytest.fixture
def host():
    return Host.objects.local()


@pytest.fixture
def administrator():
    return Actor(make_administrator())


@pytest.fixture
def orphan(containers):
    """A running agent whose row was lost, as after the restore of an older backup."""
    agent = make_agent(name="scribe", memory_limit="2g", type="writer")
    client_of(agent.owner).post("/api/agents/scribe/start")
    agent.refresh_from_db()
    (containers.folder / volume(agent, "workspace") / "notes").write_text("mine")
    lose(agent)
    return agent


def lose(agent):
    Agent.objects.filter(pk=agent.pk).delete()


def volume(agent, purpose):
    return f"trinity-{Host.objects.local().instance}-{agent.uid}-{purpose}"


def kinds():
    return sorted(Found.objects.values_list("kind", flat=True))


def the(kind):
    return Found.objects.get(kind=kind)


def test_a_container_and_volumes_without_a_row_are_noted(orphan, host, containers):
    found.note(host)
    assert kinds() == ["container", "spool", "workspace"]
    container = the("container")
    assert (container.reference, container.uid) == (orphan.container_id, orphan.uid)
    assert container.runs
    assert container.labels["trinity.agent-name"] == "scribe"
    found.note(host)
    assert Found.objects.count() == 3


def test_what_has_a_row_is_not(host, containers):
    agent = make_agent(name="scribe")
    client_of(agent.owner).post("/api/agents/scribe/start")
    deleted = make_agent(name="gone")
    client_of(deleted.owner).post("/api/agents/gone/start")
    client_of(deleted.owner).delete("/api/agents/gone")
    found.note(host)
    assert kinds() == []


def test_another_installations_are_never_noted(orphan, host):
    host.instance = "another"
    host.save()
    found.note(host)
    assert kinds() == []


def test_what_a_verb_is_making_is_not(host, containers):
    agent = make_agent(name="scribe")
    client_of(agent.owner).post("/api/agents/scribe/start")
    agent.refresh_from_db()
    # Its container is there, and nobody has recorded it yet.
    agent.record(container_id="", verb="start")
    found.note(host)
    assert kinds() == []


def test_a_second_container_of_an_agent_is_noted(orphan, host):
    make_agent(uid=orphan.uid, container_id="another")
    found.note(host)
    assert kinds() == ["container"]


def test_what_has_gone_is_forgotten(orphan, host, containers):
    found.note(host)
    containers.remove(orphan.container_id)
    found.note(host)
    assert kinds() == ["spool", "workspace"]


def test_nothing_is_removed_by_itself(orphan, host, containers):
    for _ in range(3):
        found.note(host)
    assert containers.calls["remove"] == containers.calls["remove_volume"] == 0
    assert containers.inspect(orphan.container_id).status == "running"


def test_an_adopted_container_becomes_an_agent_that_runs(orphan, host, administrator, containers):
    found.note(host)
    owner = make_user()
    agent = found.adopt(the("container"), administrator, name="Scribe", owner=owner, image=IMAGE)
    agent.refresh_from_db()
    assert (agent.name, agent.owner, agent.uid) == ("scribe", owner, orphan.uid)
    assert (agent.type, agent.memory_limit) == ("writer", "2g")
    assert agent.status == "running"
    assert (containers.folder / volume(agent, "workspace") / "notes").read_text() == "mine"
    assert kinds() == []
    found.note(host)
    assert kinds() == []
    event = AuditEvent.objects.get(verb="adopt")
    assert (event.actor, event.object_name) == (administrator.user, "scribe")


def test_an_adopted_workspace_becomes_an_agent_that_runs(orphan, host, administrator, containers):
    containers.remove(orphan.container_id)
    found.note(host)
    agent = found.adopt(
        the("workspace"), administrator, name="again", owner=make_user(), image=IMAGE
    )
    agent.refresh_from_db()
    assert (agent.name, agent.uid, agent.status) == ("again", orphan.uid, "running")
    assert (containers.folder / volume(agent, "workspace") / "notes").read_text() == "mine"


def test_a_name_that_is_taken_leaves_it_as_it_was(orphan, host, administrator):
    make_agent(name="scribe")
    found.note(host)
    with pytest.raises(NameTaken):
        found.adopt(the("container"), administrator, name="scribe", owner=make_user(), image=IMAGE)
    assert kinds() == ["container", "spool", "workspace"]


def test_an_image_that_is_not_allowed_is_refused(orphan, host, administrator):
    found.note(host)
    with pytest.raises(ImageNotAllowed):
        found.adopt(the("container"), administrator, name="a", owner=make_user(), image="evil")


def test_a_second_container_cannot_be_adopted(orphan, host, administrator):
    make_agent(uid=orphan.uid, container_id="another", name="scribe")
    found.note(host)
    with pytest.raises(NotFoundAnyMore, match="another container"):
        found.adopt(the("container"), administrator, name="b", owner=make_user(), image=IMAGE)


def test_removing_takes_off_what_was_chosen_and_no_more(orphan, host, administrator, containers):
    found.note(host)
    found.remove(the("container"), administrator)
    assert kinds() == ["spool", "workspace"]
    assert containers.containers(instance=host.instance) == []
    assert (containers.folder / volume(orphan, "workspace")).exists()
    found.remove(the("workspace"), administrator)
    assert not (containers.folder / volume(orphan, "workspace")).exists()
    assert AuditEvent.objects.filter(verb="remove", actor=administrator.user).count() == 2


def test_what_belongs_to_an_agent_by_now_is_not_removed(orphan, host, administrator, containers):
    found.note(host)
    container, workspace = the("container"), the("workspace")
    make_agent(uid=orphan.uid, container_id=orphan.container_id)
    for thing in (container, workspace):
        with pytest.raises(NotFoundAnyMore):
            found.remove(thing, administrator)
    assert containers.inspect(orphan.container_id).status == "running"


def test_while_trinity_only_reports_they_are_shown_and_nothing_is_done(
    orphan, host, administrator, containers
):
    control.report_only(host, "restored")
    found.note(host)
    with pytest.raises(ReportOnly):
        found.remove(the("container"), administrator)
    with pytest.raises(ReportOnly):
        found.adopt(the("container"), administrator, name="a", owner=make_user(), image=IMAGE)
    assert containers.inspect(orphan.container_id).status == "running"
