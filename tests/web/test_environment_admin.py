"""The environment of an agent in the admin: set and replaced there, secrets never shown."""

import pytest
from django.test import Client
from django.urls import reverse

from agents.environment import Variable, set_variables, values_of
from agents.models import EnvironmentValue, Share
from tests.factories import make_agent, make_user, share
from trinity.audit import SYSTEM
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

SECRET = "hush-hush-hush"


@pytest.fixture
def agent():
    agent = make_agent(name="scribe", owner=make_user(is_staff=True))
    set_variables(
        agent, SYSTEM, [Variable("COLOUR", "blue", is_secret=False), Variable("TOKEN", SECRET)]
    )
    return agent


@pytest.fixture
def client(agent):
    return signed_in(agent.owner)


def signed_in(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page_of(agent):
    return reverse("admin:agents_agent_change", args=[agent.pk])


def save(client, agent, *rows):
    """Send the form as a browser does; each row names an existing variable, or none."""
    form = {
        "type": agent.type,
        "network": agent.network,
        "shares-TOTAL_FORMS": 0,
        "shares-INITIAL_FORMS": 0,
        "environment-TOTAL_FORMS": len(rows),
        "environment-INITIAL_FORMS": sum("id" in row for row in rows),
    }
    for number, row in enumerate(rows):
        form |= {f"environment-{number}-{name}": value for name, value in row.items()}
        form[f"environment-{number}-agent"] = agent.pk
    return client.post(page_of(agent), form)


def kept(name, **fields):
    """A row as the page shows it, with what was changed in it."""
    variable = EnvironmentValue.objects.get(name=name)
    row = {"id": variable.pk, "name": name}
    if variable.is_secret:
        row |= {"is_secret": "on", "new_value": ""}
    else:
        row["new_value"] = variable.value
    return {key: value for key, value in (row | fields).items() if value is not None}


def rows(**changes):
    return [kept(name, **changes.get(name, {})) for name in ("COLOUR", "TOKEN")]


def problems(response):
    assert response.status_code == 200
    [found] = [
        inline.formset
        for inline in response.context["inline_admin_formsets"]
        if inline.formset.model is EnvironmentValue
    ]
    return str(found.errors) + str(found.non_form_errors())


def test_the_page_shows_plain_values_and_no_secret(client, agent):
    page = client.get(page_of(agent)).content.decode()
    assert "COLOUR" in page
    assert "blue" in page
    assert "TOKEN" in page
    assert SECRET not in page


def test_what_is_left_as_it_is_stays(client, agent):
    assert save(client, agent, *rows()).status_code == 302
    assert values_of(agent) == {"COLOUR": "blue", "TOKEN": SECRET}
    assert not AuditEvent.objects.filter(actor=agent.owner, verb="set_environment").exists()


def test_values_are_replaced_and_added(client, agent):
    changed = rows(COLOUR={"new_value": "red"}, TOKEN={"new_value": "other"})
    added = {"name": "KEY", "new_value": "of my own", "is_secret": "on"}
    assert save(client, agent, *changed, added).status_code == 302
    assert values_of(agent) == {"COLOUR": "red", "TOKEN": "other", "KEY": "of my own"}
    event = AuditEvent.objects.get(actor=agent.owner, verb="set_environment")
    assert event.detail == "COLOUR, TOKEN (secret), KEY (secret)"


def test_one_is_removed(client, agent):
    assert save(client, agent, *rows(TOKEN={"DELETE": "on"})).status_code == 302
    assert values_of(agent) == {"COLOUR": "blue"}
    assert AuditEvent.objects.filter(actor=agent.owner, verb="remove_environment").exists()


def test_a_plain_value_becomes_a_secret(client, agent):
    save(client, agent, *rows(COLOUR={"is_secret": "on"}))
    assert EnvironmentValue.objects.get(name="COLOUR").is_secret
    assert values_of(agent)["COLOUR"] == "blue"


def test_a_secret_does_not_become_plain_by_a_click(client, agent):
    response = save(client, agent, *rows(TOKEN={"is_secret": None}))
    assert "Type the value again" in problems(response)
    assert SECRET not in response.content.decode()
    assert EnvironmentValue.objects.get(name="TOKEN").is_secret


def test_what_cannot_be_set_is_told(client, agent):
    added = {"name": "TRINITY_X", "new_value": "x", "is_secret": "on"}
    assert "own" in problems(save(client, agent, *rows(), added))
    large = [
        {"name": f"LARGE_{number}", "new_value": "x" * 32_000, "is_secret": "on"}
        for number in range(9)
    ]
    assert "together" in problems(save(client, agent, *rows(), *large))
    assert values_of(agent) == {"COLOUR": "blue", "TOKEN": SECRET}


def test_only_owners_see_it(agent):
    operator = make_user(is_staff=True)
    share(agent, operator, Share.Role.OPERATOR)
    page = signed_in(operator).get(page_of(agent)).content.decode()
    assert "scribe" in page
    assert "COLOUR" not in page
