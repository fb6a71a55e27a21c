"""Every action of the admin is tried by everybody of the staff, on a row that is there."""

import pytest
from django.utils import timezone

from agents.models import Host
from tests.access.table import ACTIONS
from tests.access.walk import denials, expected
from tests.access.world import World
from trinity.models import AuditEvent

# The actions use threads of their own, which see only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def done(user):
    return AuditEvent.objects.filter(actor=user).exclude(outcome="denied").count()


def attempt(line, world, role):
    model, action = line.path.split()
    if action == "take_control":
        Host.objects.update(report_only_since=timezone.now(), report_only_reason="A copy")
    form = {"action": action, "_selected_action": [world.subject(model).pk], "confirmed": "yes"}
    form |= {"post": "yes", "name": "again", "owner": world.administrator.pk}
    form |= {"image": "trinity-agent-base:latest"}
    return role.client(with_token=not role.session).post(f"/admin/{model}/", form)


def tried(line, world, role):
    """In the words of the table, by what the audit trail says became of it."""
    before, refused = done(role.user), denials(role.user)
    answer = attempt(line, world, role)
    if answer.status_code == 302 and "/admin/login/" in answer["Location"]:
        return "login"
    if answer.status_code == 403:
        assert denials(role.user) > refused, role.name
        return "403"
    return "yes" if done(role.user) > before else "no"


@pytest.mark.parametrize("line", ACTIONS, ids=str)
def test_actions_of_the_admin(line):
    world = World(is_staff=True)
    roles = list(world.roles())
    table = {role.name: expected(line, role) for role in roles}
    answers = {role.name: tried(line, world, role) for role in roles if table[role.name] != "yes"}
    for role in roles:
        if table[role.name] == "yes":
            world = World(is_staff=True)
            [same] = [each for each in world.roles() if each.name == role.name]
            answers[role.name] = tried(line, world, same)
    assert answers == table
