"""Documented answers that need an agent's server of a kind, or others who were there before."""

import json
from contextlib import ExitStack

import pytest
from django.conf import settings
from django.utils import timezone

from agents.api.files import AT_ONCE, one_of_few
from agents.models import GitConfig, Host
from tests.api.asking import ask
from tests.factories import (
    PASSWORD,
    make_administrator,
    make_operation,
    make_running_agent,
    token_of,
)
from tests.workspaces import lying

pytestmark = pytest.mark.django_db(transaction=True)

FILES = "/api/agents/scribe/files"
OF_FILES = [
    ("get", FILES),
    ("delete", FILES),
    ("put", FILES),
    ("get", f"{FILES}/download"),
    ("get", "/api/agents/scribe/metrics"),
]
MEANINGS = [("changed", 409, "busy"), ("disk_full", 400, "disk_full")]


@pytest.fixture
def agent():
    agent = make_running_agent(name="scribe")
    GitConfig.objects.create_for(agent, "https://git.example.org/team/work")
    return agent


@pytest.fixture
def token(agent):
    return token_of(agent.owner)


def refused(agent, code):
    return lying(agent, json.dumps({"ok": False, "code": code, "detail": "x"}).encode() + b"\n")


@pytest.mark.parametrize(("method", "path"), OF_FILES)
@pytest.mark.parametrize(("code", "status", "told"), MEANINGS)
def test_what_an_agents_server_refuses_is_told(agent, token, method, path, code, status, told):
    with refused(agent, code):
        answer = ask(method, path, query="path=a", token=token)
    assert (answer.status, answer.json()["code"]) == (status, told)


@pytest.mark.parametrize(("method", "path"), OF_FILES[:4])
def test_a_file_that_is_too_large_is_refused(agent, token, method, path):
    with refused(agent, "too_large"):
        answer = ask(method, path, query="path=a", token=token)
    assert (answer.status, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("verb", ["log", "status"])
def test_a_repository_that_is_worked_on_is_busy(agent, token, verb):
    with refused(agent, "busy"):
        answer = ask("get", f"/api/agents/scribe/git/{verb}", token=token)
    assert (answer.status, answer.json()["code"]) == (409, "busy")


@pytest.mark.parametrize(("method", "path"), [OF_FILES[0], OF_FILES[1], OF_FILES[4]])
def test_few_at_once_may_wait_for_an_agent(agent, token, method, path):
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stack.enter_context(one_of_few(agent))
        answer = ask(method, path, query="path=a", token=token)
    assert (answer.status, answer.json()["code"]) == (429, "too_many")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/token", "/api/token"])
def test_a_sign_in_is_answered_alike_at_both_of_its_paths(path):
    form = f"username=root&password={PASSWORD}".encode()
    assert ask("post", path, body=form).status == 403
    root = make_administrator(username="root")
    root.set_password(PASSWORD)
    root.save()
    assert ask("post", path, body=form).status == 200
    wrong = b"username=root&password=wrong"
    statuses = [ask("post", path, body=wrong).status for _ in range(settings.AXES_FAILURE_LIMIT)]
    assert (statuses[0], statuses[-1]) == (401, 429)


def test_while_trinity_only_reports_no_operation_is_cancelled(agent, token):
    operation = make_operation(agent=agent)
    Host.objects.update(report_only_since=timezone.now())
    answer = ask("post", f"/api/v1/operations/{operation.pk}/cancel", token=token)
    assert (answer.status, answer.json()["code"]) == (400, "report_only")
