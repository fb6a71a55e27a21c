"""A prompt instead of a command: it becomes the agent's own command for prompts."""

import pytest

from agents.models import Activity
from operations.models import Operation
from tests.factories import client_of, make_running_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent():
    return make_running_agent(name="scribe", prompt_command=["writer", "--prompt={prompt}", "-v"])


def ask(agent, **fields):
    answer = client_of(agent.owner).post("/api/v1/operations", {"agent": "scribe", **fields})
    return answer.status_code, answer.json()


def test_it_is_put_into_the_place_that_the_template_has_for_it(agent):
    assert ask(agent, prompt="a; b", timeout_seconds=5)[0] == 202
    operation = Operation.objects.get()
    assert operation.command == ["writer", "--prompt=a; b", "-v"]
    assert operation.timeout_seconds == 5


def test_without_a_place_it_comes_last(agent):
    agent.record(prompt_command=["writer"])
    ask(agent, prompt="{prompt} $HOME")
    assert Operation.objects.get().command == ["writer", "{prompt} $HOME"]


def test_what_is_put_in_is_not_looked_at_again(agent):
    agent.record(prompt_command=["{prompt}{prompt}"])
    ask(agent, prompt="{prompt}")
    assert Operation.objects.get().command == ["{prompt}{prompt}"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": "x", "command": ["y"]}, "invalid_operation"),
        ({"prompt": ""}, "invalid_operation"),
        ({"prompt": "x" * 100_001}, "invalid_operation"),
        ({"prompt": "☃" * 40_000}, "invalid_operation"),
    ],
)
def test_what_is_no_prompt_is_refused(agent, fields, code):
    status, told = ask(agent, **fields)
    assert (status, told["code"]) == (400, code)


def test_an_agent_that_takes_none_says_so(agent):
    agent.record(prompt_command=[])
    assert ask(agent, prompt="x")[1]["code"] == "no_prompt_command"


@pytest.mark.parametrize("fields", [{}, {"prompt": None}])
def test_one_of_both_is_needed(agent, fields):
    status, told = ask(agent, **fields)
    assert (status, told["detail"][0]["loc"]) == (422, ["body", "command"])


def test_an_operation_is_an_activity_as_soon_as_it_is_asked_for(agent):
    ask(agent, command=["true", "secret"])
    activity = Activity.objects.get()
    assert (activity.activity_type, activity.activity_state) == ("operation", "started")
    assert activity.related_execution_id == str(Operation.objects.get().pk)
    assert (activity.user, activity.details) == (agent.owner, {"program": "true"})
