"""A watch tells how things stand, and again whenever that has changed."""

import pytest

from tests.agents.agent_server.client import eventually
from tests.agents.agent_server.test_git_one_at_a_time import git_processes
from tests.repositories import git

pytestmark = pytest.mark.usefixtures("server")


def until(next_state, condition):
    return eventually(lambda: (state := next_state()) and condition(state) and state)


def test_it_makes_the_working_copy_first(copy, shared):
    with copy.watched() as next_state:
        state = next_state()
    assert state["last_commit"]["sha"] == shared.sha("main")
    assert (state["ahead"], state["behind"], state["problem"]) == (0, 0, "")
    assert (copy.folder / "README").exists()


def test_a_repository_that_cannot_be_had_is_told(copy, tmp_path):
    copy.remote["url"] = f"file://{tmp_path}/no-such.git"
    with copy.watched() as next_state:
        state = next_state()
    assert state["last_commit"] is None
    assert state["problem"].startswith("git ls-remote: ")


def test_a_sync_and_work_are_told_without_being_asked(copy):
    copy.cloned()
    with copy.watched() as next_state:
        assert next_state()["changes_count"] == 0
        copy.write(work="1")
        assert until(next_state, lambda state: state["changes_count"] == 1)
        copy.sync()
        state = until(next_state, lambda state: not state["changes_count"] + state["ahead"])
        assert state["last_commit"]["message"] == "work"


def test_what_a_program_commits_is_told(copy):
    copy.cloned()
    with copy.watched() as next_state:
        next_state()
        git(copy.folder, "commit", "--allow-empty", "-m", "mine")
        assert until(next_state, lambda state: state["ahead"] == 1)


def test_it_ends_with_whoever_asked(copy, server):
    copy.cloned()
    with copy.watched() as next_state:
        next_state()
    # One that goes on would look again and again; a server that stops waits for none.
    eventually(lambda: not git_processes(server.process.pid))
    code, log = server.terminate()
    assert (code, log) == (0, "")
