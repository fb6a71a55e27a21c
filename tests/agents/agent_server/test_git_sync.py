"""A sync commits what has changed and pushes it to the agent's own branch, and nowhere else."""

import pytest

from tests.agents.agent_server.working_copy import BRANCH
from tests.repositories import git


def test_the_first_one_clones_the_branch_that_the_repository_begins_with(copy, shared):
    answer = copy.sync()
    assert answer == {
        "ok": True,
        "commit_sha": shared.sha("main"),
        "files_changed": 0,
        "branch": BRANCH,
        "message": "Nothing to sync",
    }
    assert (copy.folder / "README").read_text() == "Hello\n"
    assert copy.git("branch", "--show-current") == BRANCH


def test_it_clones_the_agents_own_branch_where_there_is_one(copy, shared):
    shared.commit(BRANCH, mine="before")
    copy.sync()
    assert (copy.folder / "mine").read_text() == "before"


def test_an_empty_repository_gets_its_first_commit(copy, shared, tmp_path):
    git(tmp_path, "init", "--bare", "empty.git")
    copy.remote["url"] = f"file://{tmp_path}/empty.git"
    assert copy.sync()["commit_sha"] is None
    copy.write(first="1")
    assert copy.sync()["files_changed"] == 1
    assert git(tmp_path / "empty.git", "show", f"{BRANCH}:first") == "1"


def test_new_changed_and_removed_files_go_to_the_agents_branch_alone(copy, shared):
    main = shared.commit(gone="x", kept="x")
    copy.cloned()
    copy.write(new="1", deep__er="2", README="Changed\n")
    (copy.folder / "gone").unlink()
    answer = copy.sync("three and one")
    assert (answer["files_changed"], answer["message"]) == (4, "Committed 4 files, pushed")
    assert answer["commit_sha"] == shared.sha(BRANCH)
    assert shared.files(BRANCH) == ["README", "deep/er", "kept", "new"]
    assert shared.read(BRANCH, "README") == "Changed"
    assert shared.sha("main") == main
    assert git(shared.bare, "log", "-1", "--format=%an <%ae> %s", BRANCH) == (
        "scribe <scribe@agents.trinity.invalid> three and one"
    )


def test_the_agents_own_git_agrees_with_what_was_done(copy):
    copy.cloned()
    copy.write(new="1")
    copy.sync()
    assert copy.git("status", "--porcelain") == ""
    assert "work" in copy.git("reflog", "-1")
    assert copy.git("fsck", "--strict") == ""


def test_only_the_paths_that_were_named_are_committed(copy, shared):
    copy.cloned()
    copy.write(a="1", b="1", folder__c="1", folderless="1")
    assert copy.sync(paths=["a", "folder"])["files_changed"] == 2
    assert shared.files(BRANCH) == ["README", "a", "folder/c"]
    assert set(copy.changes()) == {"b", "folderless"}


@pytest.mark.parametrize("paths", [["../x"], ["/etc/passwd"], [""], ["a/../../x"], "a", [5]])
def test_paths_outside_are_refused(copy, paths):
    copy.cloned()
    assert copy.sync(paths=paths)["code"] == "bad_request"


@pytest.mark.parametrize("name", [":(exclude)a", "-A", "*", "a b", "new\nline", "\udcff", "é"])
def test_odd_names_are_taken_literally(copy, shared, name):
    copy.cloned()
    copy.write(other="1")
    (copy.folder / name).write_text("x")
    assert copy.sync(paths=[name])["files_changed"] == 1
    assert len(shared.files(BRANCH)) == 2
    assert list(copy.changes()) == ["other"]


@pytest.mark.parametrize("message", ["--amend", "# a comment", "two\n\nparagraphs", '"; rm -rf'])
def test_any_message_is_only_a_message(copy, shared, message):
    copy.cloned()
    copy.write(a="1")
    copy.sync(message)
    assert git(shared.bare, "log", "-1", "--format=%B", BRANCH) == message
    assert git(shared.bare, "rev-list", "--count", BRANCH) == "2"


def test_what_others_pushed_meanwhile_is_taken_over_first(copy, shared):
    copy.cloned()
    copy.write(mine="1")
    copy.sync()
    theirs = shared.commit(BRANCH, theirs="1")
    copy.write(more="1")
    assert copy.sync()["message"] == "Took over 1 commit, committed 1 file, pushed"
    assert git(shared.bare, "rev-parse", f"{BRANCH}~1") == theirs
    assert shared.files(BRANCH) == ["README", "mine", "more", "theirs"]


def test_commits_that_the_agent_made_itself_are_pushed(copy, shared):
    copy.cloned()
    copy.write(own="1")
    copy.git("add", "own")
    copy.git("commit", "-m", "my own")
    assert copy.sync()["message"] == "Pushed"
    assert git(shared.bare, "log", "-1", "--format=%s", BRANCH) == "my own"


def test_it_is_pushed_to_the_agents_branch_whichever_is_checked_out(copy, shared):
    copy.cloned()
    copy.git("checkout", "-b", "main")
    copy.write(a="1")
    copy.sync()
    assert shared.files(BRANCH) == ["README", "a"]
    assert shared.files("main") == ["README"]


def test_what_the_agent_has_staged_besides_stays_staged(copy, shared):
    copy.cloned()
    copy.write(a="1", b="1")
    copy.git("add", "b")
    copy.sync(paths=["a"])
    assert shared.files(BRANCH) == ["README", "a"]
    assert copy.git("diff", "--cached", "--name-only") == "b"


@pytest.mark.parametrize("state", ["merge", "detached"])
def test_in_the_middle_of_something_it_is_refused(copy, shared, state):
    copy.cloned()
    if state == "detached":
        copy.git("checkout", "--detach")
    else:
        (copy.folder / ".git" / "MERGE_HEAD").write_text(f"{shared.sha('main')}\n")
    copy.write(a="1")
    for verb in ("sync", "pull"):
        assert copy.ask(verb, message="x")["code"] == "git_unsettled"
    assert BRANCH not in git(shared.bare, "branch", "--list")


def test_what_could_not_be_pushed_is_pushed_the_next_time(copy, shared):
    copy.cloned()
    copy.write(a="1")
    hook = shared.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    hook.chmod(0o755)
    answer = copy.sync()
    assert answer["code"] == "git_failed"
    assert answer["detail"].startswith("Committed, but not pushed; the next sync tries again")
    assert copy.status()["ahead"] == 1
    hook.unlink()
    assert copy.sync()["message"] == "Pushed"
    assert shared.files(BRANCH) == ["README", "a"]


def test_what_is_there_and_no_repository_is_left_alone(copy):
    copy.folder.mkdir()
    (copy.folder / "work").write_text("of a day")
    answer = copy.sync()
    assert answer["code"] == "git_failed"
    assert "move it away" in answer["detail"]
    assert [path.name for path in copy.server.workspace.iterdir()] == ["repo"]
    assert (copy.folder / "work").read_text() == "of a day"


def test_a_clone_that_fails_leaves_nothing(copy, tmp_path):
    copy.remote["url"] = f"file://{tmp_path}/no-such.git"
    assert copy.sync()["code"] == "git_failed"
    assert list(copy.server.workspace.iterdir()) == []
