"""The status says what a sync would do, and asks the other end how far it is."""

import os

import pytest

from tests.agents.agent_server.client import eventually
from tests.agents.agent_server.working_copy import BRANCH
from tests.git_server import forge_of
from tests.parallel import at_once
from tests.repositories import git


def test_before_the_first_sync_nothing_is_known(copy):
    assert copy.status() == {
        "ok": True,
        "branch": BRANCH,
        "last_commit": None,
        "changes": [],
        "changes_count": 0,
        "ahead": 0,
        "behind": None,
        "problem": "The repository is not cloned yet: a sync does that",
    }


def test_it_tells_the_last_commit_and_the_changes(copy, shared):
    copy.cloned()
    copy.write(README="Changed\n", new="1", deep__er="1")
    status = copy.status()
    assert status["last_commit"] == {
        "sha": shared.sha("main"),
        "short_sha": shared.sha("main")[:7],
        "date": copy.git("log", "-1", "--format=%aI"),
        "message": "more",
        "author": "ada",
    }
    assert status["changes"] == [
        {"status": "M", "path": "README"},
        {"status": "??", "path": "deep/er"},
        {"status": "??", "path": "new"},
    ]
    assert (status["branch"], status["changes_count"], status["problem"]) == (BRANCH, 3, "")


def test_what_others_pushed_counts_as_soon_as_it_is_there(copy, shared):
    copy.cloned()
    copy.write(mine="1")
    copy.sync()
    for number in range(2):
        shared.commit(BRANCH, theirs=str(number))
    status = copy.status()
    assert (status["ahead"], status["behind"]) == (0, 2)


def test_before_the_branch_exists_there_it_is_compared_with_where_it_began(copy, shared):
    copy.cloned()
    shared.commit(more="1")
    assert copy.status()["behind"] == 1


def test_a_branch_that_was_removed_there_is_not_remembered(copy, shared):
    copy.cloned()
    copy.write(mine="1")
    copy.sync()
    git(shared.bare, "branch", "-D", BRANCH)
    assert (copy.status()["ahead"], copy.status()["behind"]) == (1, 0)


def test_where_the_other_end_cannot_be_asked_behind_is_unknown_and_not_0(copy, shared):
    copy.cloned()
    copy.write(mine="1")
    shared.bare.rename(shared.bare.with_name("away"))
    status = copy.status()
    assert status["behind"] is None
    assert status["problem"].startswith("git ls-remote: ")
    assert status["changes_count"] == 1


def test_other_ends_that_do_not_answer_are_given_up_in_time(server, copy, shared):
    copy.cloned()
    with forge_of(shared.bare.parent) as forge:
        copy.remote["url"] = forge.url(shared.bare.name)
        forge.gate.clear()
        status = copy.status()
    assert status["problem"] == "The repository did not answer within 10 s"
    assert status["behind"] is None


def test_many_who_ask_at_once_share_what_is_fetched(copy, shared):
    copy.cloned()
    with forge_of(shared.bare.parent) as forge:
        copy.remote["url"] = forge.url(shared.bare.name)
        copy.status()
        once = len(forge.requests)
        forge.gate.clear()
        answers = at_once(*[copy.status] * 8, lambda: _let_through(forge, once))
        assert all(answer["behind"] == 0 for answer in answers[:8])
        assert len(forge.requests) <= 3 * once


def _let_through(forge, seen):
    eventually(lambda: len(forge.requests) > seen)
    forge.gate.set()


def test_a_thousand_changes_are_told_and_all_are_counted(copy):
    copy.cloned()
    for number in range(1500):
        (copy.folder / f"{number:04}").touch()
    status = copy.status()
    assert (len(status["changes"]), status["changes_count"]) == (1000, 1500)


def test_an_answer_stays_one_line_that_is_taken_however_long_the_names(copy):
    copy.cloned()
    folder = copy.folder / ("\u00fc" * 100)
    folder.mkdir()
    for number in range(900):
        (folder / f"{number:03}{chr(252) * 100}").touch()
    status = copy.status()
    assert status["changes_count"] == 900
    assert 200 < len(status["changes"]) < 900


@pytest.mark.parametrize("what", ["link", "file", "pipe", "nothing"])
def test_what_is_no_plain_repository_is_refused(copy, shared, tmp_path, what):
    copy.cloned()
    folder = copy.folder / ".git"
    if what == "pipe":
        (folder / "HEAD").unlink()
        os.mkfifo(folder / "HEAD")
    else:
        folder.rename(tmp_path / "elsewhere")
        if what == "link":
            folder.symlink_to(tmp_path / "elsewhere")
        if what == "file":
            folder.write_text(f"gitdir: {tmp_path}/elsewhere\n")
        if what == "nothing":
            folder.mkdir()
    for verb in ("status", "sync", "pull"):
        assert copy.ask(verb, message="x")["code"] == "git_failed"
