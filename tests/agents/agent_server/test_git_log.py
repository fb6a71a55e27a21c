"""The log tells the commits of the branch that is checked out, the newest first."""

import pytest


def test_before_there_is_a_repository_there_are_none(copy):
    assert copy.ask("log", limit=10) == {"ok": True, "commits": []}


def test_the_newest_come_first_and_no_more_than_asked_for(copy, shared):
    for number in range(3):
        shared.commit(message=f"number {number}", file=str(number))
    copy.cloned()
    commits = copy.ask("log", limit=2)["commits"]
    assert [commit["message"] for commit in commits] == ["number 2", "number 1"]
    assert commits[0] == {
        "sha": shared.sha("main"),
        "short_sha": shared.sha("main")[:7],
        "date": copy.git("log", "-1", "--format=%aI"),
        "author": "ada",
        "message": "number 2",
    }


@pytest.mark.parametrize("message", ["\x1f\x1e tricks", "é\n\nand a body", "x" * 1000])
def test_a_message_is_its_first_line_and_bounded(copy, shared, message):
    shared.commit(message=message, file="1")
    copy.cloned()
    [commit] = copy.ask("log", limit=1)["commits"]
    assert commit["message"] == message.splitlines()[0][:300] or "tricks" in commit["message"]
    assert commit["sha"] == shared.sha("main")


def test_a_thousand_stay_one_answer(copy, shared):
    tree = shared.sha("main^{tree}")
    shared.fast_import(1200, tree)
    copy.cloned()
    assert len(copy.ask("log", limit=1000)["commits"]) == 1000


@pytest.mark.parametrize("limit", [0, 1001, -1, "5", None, True, 2.5])
def test_a_limit_that_is_none_is_refused(copy, limit):
    assert copy.ask("log", limit=limit)["code"] == "bad_request"
