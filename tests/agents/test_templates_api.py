"""Templates over the API: listed, shown, and what agents are made from."""

import pytest
from rest_framework.test import APIClient

from agents.models import Agent
from tests.factories import client_of, make_administrator, make_agent, make_user, share
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db

WRITER = """
name: writer
display_name: The writer
description: Writes.
type: author
resources: {cpu: 1, memory: 1g, disk: 20g}
command: [sleep, infinity]
prompt_command: [echo, "{prompt}"]
environment: {API_KEY: "where it is billed\\nask Ada", REGION: ""}
capabilities: [writing]
"""
TOLD = {
    "id": "local:writer",
    "display_name": "The writer",
    "description": "Writes.",
    "source": "local",
    "image": "trinity-agent-base:latest",
    "resources": {"cpu": "1", "memory": "1g", "disk": "20g"},
    "required_credentials": ["API_KEY", "REGION"],
    "error": None,
}
BROKEN = {
    "id": "local:broken",
    "display_name": "broken",
    "description": "",
    "source": "local",
    "image": None,
    "resources": None,
    "required_credentials": [],
    "error": "name is missing",
}


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """The operator's templates: one to use, and one that is broken."""
    settings.TRINITY_TEMPLATES_DIR = tmp_path
    write(tmp_path, "writer", WRITER)
    write(tmp_path, "broken", "display_name: Nameless")
    return tmp_path


def write(folder, name, text):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "template.yaml").write_text(text)


@pytest.fixture
def client():
    return client_of(make_user())


def refusal(answer):
    return answer.status_code, answer.json()["code"]


def test_all_are_listed_and_a_broken_one_with_its_reason(client):
    told = client.get("/api/templates").json()
    assert [each["id"] for each in told] == ["local:broken", "local:default", "local:writer"]
    assert told[0] == BROKEN
    assert told[2] == TOLD


def test_one_is_shown_and_one_that_is_not_there_is_not_found(client):
    assert client.get("/api/templates/local:writer").json() == TOLD
    assert client.get("/api/templates/local:broken").json() == BROKEN
    for unknown in ("local:none", "writer", "github:a", "local:..", "local:"):
        assert refusal(client.get(f"/api/templates/{unknown}")) == (404, "template_not_found")


def test_a_file_of_the_names_it_needs_can_be_had(client):
    path = "/api/templates/env-template"
    assert client.get(path, {"template_id": "local:writer"}).json() == {
        "template_id": "local:writer",
        "template_name": "The writer",
        "content": "# The writer\n# where it is billed\n# ask Ada\nAPI_KEY=\nREGION=\n",
        "credential_count": 2,
    }
    assert client.get(path, {"template_id": "local:default"}).json()["credential_count"] == 0
    assert refusal(client.get(path, {"template_id": "local:x"})) == (404, "template_not_found")
    assert refusal(client.get(path, {"template_id": "local:broken"})) == (400, "broken_template")
    assert client.get(path).status_code == 422


def test_administrators_refresh(client, folder):
    told = client_of(make_administrator()).post("/api/templates/refresh")
    assert (told.status_code, told.json()["count"], told.json()["broken_count"]) == (200, 3, 1)
    assert AuditEvent.objects.filter(verb="refresh", outcome="done").count() == 1
    answer = client.post("/api/templates/refresh")
    assert refusal(answer) == (403, "administrators_only")


@pytest.mark.parametrize("path", ["", "/local:writer", "/env-template", "/refresh"])
def test_nobody_sees_them_without_signing_in(path):
    assert APIClient().get(f"/api/templates{path}").status_code == 401
    assert APIClient().post(f"/api/templates{path}").status_code == 401


def test_an_agent_is_made_as_its_template_says_and_stays_so(client, containers, folder):
    answer = client.post("/api/agents", {"name": "a", "template": "local:writer"})
    assert answer.status_code == 200, answer.json()
    told = answer.json()
    assert (told["type"], told["resources"]) == ("author", {"cpu": "1", "memory": "1g"})
    agent = Agent.objects.get(name="a")
    assert (agent.command, agent.prompt_command) == (["sleep", "infinity"], ["echo", "{prompt}"])
    assert (agent.template_memory, agent.template_cpu, agent.template_disk) == ("1g", "1", "20g")
    write(folder, "writer", "name: writer\nresources: {memory: 8g}")
    assert client.post("/api/agents/a/restart", {"timeout_seconds": 1}).status_code == 200
    agent.refresh_from_db()
    assert (agent.command, agent.template_memory) == (["sleep", "infinity"], "1g")


def test_its_command_reaches_the_container_and_one_without_sets_nothing(client, containers):
    client.post("/api/agents", {"name": "a", "template": "local:writer"})
    client.post("/api/agents", {"name": "b"})
    environments = {
        name: containers._get(Agent.objects.get(name=name).container_id).spec.environment
        for name in ("a", "b")
    }
    assert environments["a"]["TRINITY_COMMAND"] == '["sleep", "infinity"]'
    assert "TRINITY_COMMAND" not in environments["b"]


def test_what_is_asked_for_wins_over_the_template(client):
    wanted = {"type": "poet", "resources": {"memory": "2g"}}
    told = client.post("/api/agents", {"name": "a", "template": "local:writer", **wanted}).json()
    assert (told["type"], told["resources"]) == ("poet", {"cpu": "1", "memory": "2g"})
    assert (told["memory_limit"], told["cpu_limit"]) == ("2g", None)


@pytest.mark.parametrize(
    ("template", "code"), [("local:broken", "broken_template"), ("local:no", "unknown_template")]
)
def test_none_is_made_from_a_broken_or_unknown_one(client, template, code):
    answer = client.post("/api/agents", {"name": "a", "template": template})
    assert refusal(answer) == (400, code)
    assert not Agent.objects.exists()


def test_an_image_that_is_not_allowed_breaks_its_template(client, folder):
    write(folder, "evil", "name: evil\nimage: evil:latest")
    answer = client.post("/api/agents", {"name": "a", "template": "local:evil"})
    assert refusal(answer) == (400, "broken_template")


# What an agent's template says of it


def info(agent, user=None):
    return client_of(user or agent.owner).get(f"/api/agents/{agent.name}/info")


def test_an_agent_tells_what_it_is_made_of(containers):
    agent = make_agent(
        template="local:writer", type="author", template_memory="1g", prompt_command=["echo"]
    )
    told = info(agent).json()
    assert told == {
        "agent_name": agent.name,
        "status": "stopped",
        "has_template": True,
        "template_name": "local:writer",
        "type": "author",
        "resources": {"cpu": "2", "memory": "1g"},
        "image": "trinity-agent-base:latest",
        "command": [],
        "can_chat": True,
        "display_name": "The writer",
        "description": "Writes.",
        "version": None,
        "author": None,
        "capabilities": ["writing"],
        "required_credentials": ["API_KEY", "REGION"],
    }
    assert not containers.calls


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("local:gone", "The template local:gone is not there any more"),
        ("local:broken", "The template local:broken is broken: name is missing"),
    ],
)
def test_an_agent_outlives_its_template(template, message):
    told = info(make_agent(template=template)).json()
    assert (told["has_template"], told["message"]) == (False, message)
    assert told["resources"] == {"cpu": "2", "memory": "4g"}


def test_who_sees_the_agent_sees_what_it_is_made_of():
    agent, viewer = make_agent(), make_user()
    share(agent, viewer)
    assert info(agent, viewer).status_code == 200
    stranger = info(agent, make_user())
    assert (stranger.status_code, stranger.json()["detail"]) == (404, "Agent not found")
    assert APIClient().get(f"/api/agents/{agent.name}/info").status_code == 401
