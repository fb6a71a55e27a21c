"""Choosing a template in the admin: those that can be used, and why others cannot."""

import pytest
from django.test import Client
from django.urls import reverse

from agents.models import Agent
from tests.factories import make_administrator, make_agent, make_user

pytestmark = pytest.mark.django_db

ADD = "/admin/agents/agent/add/"


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.TRINITY_TEMPLATES_DIR = tmp_path
    for name, text in (
        ("writer", "name: writer\ndisplay_name: The writer\ntype: author"),
        ("broken", "display_name: <b>Nameless</b>"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "template.yaml").write_text(text)


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_user(is_staff=True))
    return client


def add(client, **fields):
    form = {"name": "fresh", "type": "", "template": "local:writer", "tags": "", "image": ""}
    return client.post(ADD, {**form, **fields})


def test_all_are_offered_and_a_broken_one_is_disabled_with_its_reason(client):
    page = client.get(ADD).content.decode()
    assert '<option value="local:default" selected>Default (local:default)</option>' in page
    assert '<option value="local:writer">The writer (local:writer)</option>' in page
    assert (
        '<option value="local:broken" disabled>local:broken is broken: name is missing</option>'
        in page
    )


def test_an_agent_is_made_as_the_chosen_one_says(client, containers):
    assert add(client).status_code == 302
    agent = Agent.objects.get(name="fresh")
    assert (agent.template, agent.type) == ("local:writer", "author")
    assert agent.image == "trinity-agent-base:latest"


def test_what_is_filled_in_wins(client, containers):
    add(client, type="poet", image="trinity-agent-base:latest")
    assert Agent.objects.get(name="fresh").type == "poet"


@pytest.mark.parametrize(
    ("template", "told"),
    [("local:broken", "name is missing"), ("local:none", "not one of the available choices")],
)
def test_none_is_made_from_one_that_cannot_be_used(client, containers, template, told):
    answer = add(client, template=template)
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert not Agent.objects.exists()


def test_a_system_agent_is_shown_as_one_and_cannot_be_deleted(client):
    client.force_login(make_administrator())
    agent = make_agent()
    agent.record(is_system=True)
    page = client.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    assert "Is system" in page
    delete = reverse("admin:agents_agent_delete", args=[agent.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert Agent.objects.present().exists()
