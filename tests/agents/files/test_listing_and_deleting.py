"""The files of a workspace over REST: listing and deleting."""

import os
import time

import pytest

from agents.models import Agent, Share
from tests.factories import client_of, make_agent, make_user, share
from tests.parallel import at_once, meanwhile
from tests.waiting import wait_until
from tests.workspaces import lying, silent
from trinity.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(agent):
    return client_of(agent.owner)


def listed(client, path=None, *, query=""):
    return client.get("/api/agents/scribe/files" + (query or f"?path={path or ''}"))


def deleted(client, path):
    return client.delete(f"/api/agents/scribe/files?path={path}")


def test_the_tree_has_the_shape_of_the_contract(client, workspace):
    (workspace / "docs" / "old").mkdir(parents=True)
    (workspace / "docs" / "old" / "a.txt").write_text("12345")
    (workspace / "docs" / "b.txt").write_text("")
    (workspace / ".secret").write_text("")
    (workspace / "z.txt").write_text("1")
    for path in workspace.rglob("*"):
        os.utime(path, (1, 1_700_000_000.25))
    at = "2023-11-14T22:13:20.250000Z"
    tree = [
        {
            "name": "docs",
            "path": "docs",
            "type": "directory",
            "modified": at,
            "file_count": 2,
            "children": [
                {
                    "name": "old",
                    "path": "docs/old",
                    "type": "directory",
                    "modified": at,
                    "file_count": 1,
                    "children": [
                        {
                            "name": "a.txt",
                            "path": "docs/old/a.txt",
                            "type": "file",
                            "size": 5,
                            "modified": at,
                        }
                    ],
                },
                {
                    "name": "b.txt",
                    "path": "docs/b.txt",
                    "type": "file",
                    "size": 0,
                    "modified": at,
                },
            ],
        },
        {"name": "z.txt", "path": "z.txt", "type": "file", "size": 1, "modified": at},
    ]
    answer = listed(client, query="?other=1")
    assert answer.status_code == 200
    assert answer.json() == {
        "base_path": "/home/developer",
        "requested_path": "/home/developer",
        "name": "developer",
        "type": "directory",
        "tree": tree,
        "children": tree,
        "total_files": 3,
        "truncated": False,
    }


@pytest.mark.parametrize(
    "path", ["docs/old", "/home/developer/docs/old", "docs/./x/../old/", "../developer/docs//old"]
)
def test_a_directory_is_named_from_the_workspace_or_from_the_root(client, workspace, path):
    (workspace / "docs" / "old").mkdir(parents=True)
    (workspace / "docs" / "old" / "a").touch()
    told = listed(client, path).json()
    assert told["requested_path"] == "/home/developer/docs/old"
    assert told["name"] == "old"
    assert [node["path"] for node in told["children"]] == ["docs/old/a"]


OUTSIDE = ["..", "/", "/etc/passwd", "/home", "/home/developer2", "a/../../x", "/run/trinity/key"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_what_lies_outside_is_forbidden(client, workspace, path):
    for answer in (listed(client, path), deleted(client, path)):
        assert (answer.status_code, answer.json()["code"]) == (403, "outside_workspace")


def test_a_link_that_leads_out_is_forbidden_and_can_be_deleted(client, workspace):
    (workspace / "link").symlink_to("/proc/self")
    [node] = listed(client).json()["children"]
    assert (node["type"], node["special"]) == ("file", True)
    for answer in (listed(client, "link"), listed(client, "link/fd"), deleted(client, "link/fd")):
        assert (answer.status_code, answer.json()["code"]) == (403, "outside_workspace")
    assert deleted(client, "link").json() == {"success": True, "deleted": "link", "type": "file"}
    assert not os.listdir(workspace)


@pytest.mark.parametrize("path", ["none", "none/below"])
def test_what_is_missing_is_told(client, workspace, path):
    for answer in (listed(client, path), deleted(client, path)):
        assert answer.status_code == 404
        assert answer.json() == {
            "detail": f"There is no /home/developer/{path}",
            "code": "file_not_found",
        }


def test_a_file_is_no_directory(client, workspace):
    (workspace / "file").touch()
    answer = listed(client, "file")
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_kind")


@pytest.mark.parametrize("path", ["a%00b", "n" * 256, "a/" * 2500])
def test_what_no_file_can_be_called_is_a_bad_path(client, workspace, path):
    for answer in (listed(client, path), deleted(client, path)):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_path")


def test_names_that_are_no_text_or_hold_newlines_can_be_listed_and_deleted(client, workspace):
    for name in (b"two\nlines", b"\xff\xfe"):
        open(os.path.join(os.fsencode(workspace), name), "w").close()
    lines, odd = listed(client).json()["children"]
    assert lines["name"] == lines["path"] == "two\nlines"
    assert "path_encoded" not in lines
    assert odd["name"] == "\ufffd\ufffd"
    assert odd["path_encoded"] == "%FF%FE"
    assert deleted(client, odd["path_encoded"]).status_code == 200
    assert deleted(client, "two%0Alines").json()["deleted"] == "two\nlines"
    assert not os.listdir(workspace)


def test_a_directory_is_deleted_with_all_that_is_in_it(client, workspace):
    (workspace / "docs" / "old").mkdir(parents=True)
    (workspace / "docs" / "old" / "a").touch()
    told = deleted(client, "/home/developer/docs").json()
    assert told == {"success": True, "deleted": "docs", "type": "directory"}
    assert not os.listdir(workspace)


@pytest.mark.parametrize("path", ["", ".", "/home/developer", "a/.."])
def test_the_workspace_itself_is_not_deleted(client, workspace, path):
    (workspace / "kept").touch()
    answer = deleted(client, path)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_kind")
    assert os.listdir(workspace) == ["kept"]


def test_deleting_is_in_the_audit_trail_whatever_becomes_of_it(agent, client, workspace):
    (workspace / "file").touch()
    deleted(client, "file")
    deleted(client, "file")
    events = AuditEvent.objects.filter(verb="delete_file", object_name="scribe").order_by("pk")
    assert [(event.outcome, event.detail) for event in events] == [
        ("done", "file"),
        ("failed", "There is no /home/developer/file"),
    ]
    assert {event.actor for event in events} == {agent.owner}


def test_a_viewer_may_list_and_not_delete(agent, workspace):
    (workspace / "file").touch()
    viewer = make_user()
    share(agent, viewer)
    client = client_of(viewer)
    assert listed(client).status_code == 200
    answer = deleted(client, "file")
    assert (answer.status_code, answer.json()["code"]) == (403, "may_not_operate")
    assert os.listdir(workspace) == ["file"]


def test_an_operator_may_delete(agent, workspace):
    (workspace / "file").touch()
    operator = make_user()
    share(agent, operator, Share.Role.OPERATOR)
    assert deleted(client_of(operator), "file").status_code == 200


def test_a_stopped_agent_has_no_files_to_show():
    agent = make_agent(name="scribe")
    client = client_of(agent.owner)
    for answer in (listed(client), deleted(client, "file")):
        assert answer.status_code == 400
        assert answer.json() == {"detail": "Agent is not running", "code": "agent_not_running"}


def test_a_server_that_does_not_answer_is_told(agent, client, containers):
    containers.kill(agent.container_id)
    Agent.objects.filter(pk=agent.pk).update(status=Agent.Status.RUNNING)
    for answer in (listed(client), deleted(client, "file")):
        assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")
        assert answer["Retry-After"]


DEEP = '{"name": "d", "kind": "directory", "modified": 1, "children": [' * 30 + "]}" * 30
LIES = {
    "no tree": '{"x": 1}',
    "children of another type": '{"children": {}}',
    "a child that is none": '{"children": [5]}',
    "a name with a slash": '{"children": [{"name": "..%2Fx", "kind": "file", "size": 1}]}',
    "a name that leads up": '{"children": [{"name": "..", "kind": "file", "size": 1}]}',
    "no name": '{"children": [{"kind": "file", "size": 1}]}',
    "a size below 0": '{"children": [{"name": "a", "kind": "file", "size": -1}]}',
    "a size beyond all": '{"children": [{"name": "a", "kind": "file", "size": 1e999}]}',
    "too deep": f'{{"children": [{DEEP}]}}',
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_server_that_lies_is_not_believed(liar, lie):
    with lying(liar, f'{{"ok": true, {lie[1:]}\n'.encode()):
        answer = listed(client_of(liar.owner))
    assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")


@pytest.mark.parametrize("modified", ["1e300", "NaN", '"yesterday"', "null"])
def test_a_time_that_no_calendar_has_is_unknown(liar, modified):
    entry = f'{{"name": "a", "kind": "file", "size": 1, "modified": {modified}}}'
    with lying(liar, f'{{"ok": true, "children": [{entry}]}}\n'.encode()):
        [node] = listed(client_of(liar.owner)).json()["children"]
    assert node["modified"] is None


def test_a_refusal_is_told_in_our_words(liar):
    refusal = b'{"ok": false, "code": "not_permitted", "detail": "<script>"}\n'
    with lying(liar, refusal):
        answer = deleted(client_of(liar.owner), "file")
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "detail": "The agent itself may not do this to /home/developer/file",
            "code": "not_permitted",
        },
    )


@pytest.mark.parametrize("code", ["unknown_verb", "something_new"])
def test_a_refusal_that_means_nothing_to_us_is_no_answer(liar, code):
    with lying(liar, f'{{"ok": false, "code": "{code}"}}\n'.encode()):
        answer = listed(client_of(liar.owner))
    assert (answer.status_code, answer.json()["code"]) == (503, "agent_unavailable")


def test_an_agent_that_never_answers_does_not_hold_everybody_up(liar):
    with silent(liar) as connections:
        calls = [lambda: listed(client_of(liar.owner))] * 4
        with meanwhile(lambda: at_once(*calls)) as waiting:
            wait_until(lambda: len(connections) == 4)
            began = time.monotonic()
            answer = listed(client_of(liar.owner))
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
            assert answer["Retry-After"] == "1"
            assert time.monotonic() - began < 4.5
            assert [each.status_code for each in waiting.result(20)] == [503] * 4
    assert listed(client_of(liar.owner)).status_code == 503
