"""A pull takes over what the other end has beyond the agent, and nothing else."""

from tests.agents.agent_server.working_copy import BRANCH


def test_the_first_one_clones(copy):
    assert copy.ask("pull") == {"ok": True, "message": "Cloned the repository", "output": ""}
    assert (copy.folder / "README").exists()


def test_new_commits_are_taken_over_and_told(copy, shared):
    copy.cloned()
    theirs = shared.commit(theirs="1")
    answer = copy.ask("pull")
    assert answer["message"] == "Pulled 1 commit"
    assert "Fast-forward" in answer["output"]
    assert copy.git("rev-parse", "HEAD") == theirs
    assert copy.git("status", "--porcelain") == ""
    assert copy.ask("pull")["message"] == "Already up to date"


def test_work_that_is_not_committed_stays(copy, shared):
    copy.cloned()
    copy.write(mine="1", README="Changed\n")
    shared.commit(theirs="1")
    assert copy.ask("pull")["ok"]
    assert copy.changes() == {"README": "M", "mine": "??"}


def test_a_file_in_the_way_is_not_overwritten(copy, shared):
    copy.cloned()
    copy.write(both="mine")
    shared.commit(both="theirs")
    assert copy.ask("pull")["code"] == "git_diverged"
    assert (copy.folder / "both").read_text() == "mine"


def test_nothing_is_pushed(copy, shared):
    copy.cloned()
    copy.write(a="1")
    copy.git("add", "a")
    copy.git("commit", "-m", "mine")
    assert copy.ask("pull")["ok"]
    assert BRANCH not in shared.branches()
