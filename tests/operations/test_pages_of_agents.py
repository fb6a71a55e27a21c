"""The operations of an agent, as a part of its page."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from operations import pages
from tests.factories import make_operation, make_running_agent, make_user, share

pytestmark = pytest.mark.django_db

PAGE = "/agents/scribe/operations"


@pytest.fixture
def agent():
    return make_running_agent(name="scribe")


@pytest.fixture
def owner(client, agent):
    client.force_login(agent.owner)
    return client


def text_of(client, query=""):
    response = client.get(PAGE + query)
    assert response.status_code == 200
    return response.content.decode()


def listed(client, query=""):
    return re.findall(r'<tr data-operation="([^"]+)"', text_of(client, query))


def test_it_lists_this_agents_operations_newest_first_with_links(owner, agent):
    make_operation()
    old, new = make_operation(agent=agent), make_operation(agent=agent)
    assert listed(owner) == [str(new), str(old)]
    assert f'href="/operations/{old}"' in text_of(owner)


def test_it_is_filtered_by_status(owner, agent):
    failed = make_operation(agent=agent, status="failed", error="exited", exit_code=3)
    make_operation(agent=agent)
    assert listed(owner, "?status=failed") == [str(failed)]
    assert "exit code 3" in text_of(owner, "?status=failed")
    assert "None is canceled." in text_of(owner, "?status=canceled")
    assert len(listed(owner, "?status=nonsense")) == 2


def test_it_comes_in_pages_that_keep_the_filter(owner, agent, monkeypatch):
    monkeypatch.setattr(pages, "ROWS", 2)
    made = [str(make_operation(agent=agent, status="failed")) for _ in range(5)][::-1]
    assert listed(owner) == made[:2]
    text = text_of(owner, "?status=failed&page=2")
    assert listed(owner, "?status=failed&page=2") == made[2:4]
    assert 'href="?status=failed&amp;page=1"' in text
    assert 'href="?status=failed&amp;page=3"' in text
    # A number that is none, or beyond the end, is no error.
    assert listed(owner, "?page=99") == made[4:]
    assert listed(owner, "?page=x") == made[:2]


def test_what_waits_shows_its_place(owner, agent):
    make_operation(agent=agent)
    make_operation(agent=agent)
    text = text_of(owner)
    assert "number 1 in line" in text
    assert "number 2 in line" in text


def test_an_empty_list_says_what_to_do(owner):
    assert "Nothing has been run here yet: give a command above." in text_of(owner)


@pytest.mark.parametrize(("role", "offered"), [("viewer", False), ("operator", True)])
def test_the_form_is_for_those_who_operate_the_agent(client, agent, role, offered):
    user = make_user()
    share(agent, user, role)
    client.force_login(user)
    assert ('id="run"' in text_of(client)) == offered


@pytest.mark.parametrize(("command", "offered"), [([], False), (["ask", "{prompt}"], True)])
def test_a_prompt_is_offered_where_the_agent_takes_one(owner, agent, command, offered):
    agent.prompt_command = command
    agent.save()
    assert ('value="prompt"' in text_of(owner)) == offered


def test_what_people_wrote_stays_text(owner, agent):
    make_operation(agent=agent, command=["echo", "<img src=x>"])
    text = text_of(owner)
    assert "<img src=x" not in text
    assert "echo &#x27;&lt;img src=x&gt;&#x27;" in text


def test_a_page_costs_the_same_for_2_and_25_operations(owner, agent):
    def queries():
        text_of(owner)
        with CaptureQueriesContext(connection) as captured:
            text_of(owner)
        return len(captured)

    for _ in range(2):
        make_operation(agent=agent, requester=make_user())
    for_two = queries()
    for _ in range(23):
        make_operation(agent=agent, requester=make_user())
    assert queries() == for_two
