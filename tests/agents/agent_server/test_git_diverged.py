"""Where both sides have what the other lacks it is told, and nothing is overwritten."""

import pytest

from tests.agents.agent_server.working_copy import BRANCH
from tests.repositories import git


@pytest.fixture
def diverged(copy, shared):
    copy.cloned()
    copy.write(first="1")
    copy.sync()
    shared.commit(BRANCH, theirs="1")
    copy.write(ours="1")
    copy.git("add", "--all")
    copy.git("commit", "-m", "ours")
    return copy


@pytest.mark.parametrize("verb", ["sync", "pull"])
def test_neither_side_loses_a_commit(diverged, shared, verb):
    here, there = diverged.git("rev-parse", "HEAD"), shared.sha(BRANCH)
    diverged.write(uncommitted="1")
    answer = diverged.ask(verb, message="x")
    assert answer["code"] == "git_diverged"
    assert "1 commit only here, 1 commit only there" in answer["detail"]
    assert (diverged.git("rev-parse", "HEAD"), shared.sha(BRANCH)) == (here, there)
    assert diverged.changes() == {"uncommitted": "??"}


def test_the_status_counts_both(diverged):
    status = diverged.status()
    assert (status["ahead"], status["behind"]) == (1, 1)


def test_once_merged_in_the_agent_it_goes_on(diverged, shared):
    diverged.git("fetch", "origin")
    diverged.git("merge", "-m", "both", f"origin/{BRANCH}")
    assert diverged.sync()["message"] == "Pushed"
    assert shared.files(BRANCH) == ["README", "first", "ours", "theirs"]


def test_a_branch_that_others_rewound_is_not_pushed_over(copy, shared):
    copy.cloned()
    copy.write(first="1")
    copy.sync()
    copy.write(second="1")
    copy.sync()
    git(shared.bare, "update-ref", f"refs/heads/{BRANCH}", f"{BRANCH}~2")
    shared.commit(BRANCH, other="1")
    there = shared.sha(BRANCH)
    assert copy.sync()["code"] == "git_diverged"
    assert shared.sha(BRANCH) == there


@pytest.mark.parametrize("verb", ["sync", "pull"])
def test_what_has_changed_on_both_sides_and_is_not_committed_stays_as_it_is(copy, shared, verb):
    copy.cloned()
    copy.write(both="ours")
    copy.sync()
    shared.commit(BRANCH, both="theirs")
    copy.write(both="ours again")
    answer = copy.ask(verb, message="x")
    assert answer["code"] == "git_diverged"
    assert "Nothing was overwritten" in answer["detail"]
    assert (copy.folder / "both").read_text() == "ours again"
    assert shared.read(BRANCH, "both") == "theirs"


def test_a_push_that_comes_too_late_is_told_as_diverged(copy, shared):
    """Somebody pushes after we have looked: here, while our commit is received."""
    copy.cloned()
    copy.write(first="1")
    copy.sync()
    theirs = shared.commit("other", theirs="1")
    hook = shared.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/{BRANCH} {theirs}\n"
    )
    hook.chmod(0o755)
    copy.write(second="1")
    assert copy.sync()["code"] == "git_diverged"
    assert shared.sha(BRANCH) == theirs
    assert copy.status()["changes_count"] == 0
