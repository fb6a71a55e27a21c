"""What a program says of its result is what clients are told of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.image.agent_server import results as told_results
from operations import results
from operations.models import SUMMARY_CHARACTERS, Operation
from operations.reports import status_object
from operations.results import NOTE_CHARACTERS, NOTES, Result, decided
from tests.factories import make_operation
from tests.operations.driving import lines_of, run

in_database = pytest.mark.django_db(transaction=True)


def telling(status, summary="It is so", then="true", **more):
    line = json.dumps({"status": status, "summary": summary, **more})
    return ["sh", "-c", f"echo '{line}'; echo __AGENT_DONE__; {then}"]


def outcome_of(operation):
    return operation.status, operation.error, operation.exit_code, operation.summary


@in_database
@pytest.mark.parametrize(
    ("status", "then", "outcome"),
    [
        ("ok", "true", ("succeeded", "", 0, "It is so")),
        ("ok", "exit 3", ("succeeded", "", 3, "It is so")),
        ("ok", "sleep 100", ("succeeded", "", None, "It is so")),
        ("error", "true", ("failed", "exited", 0, "It is so")),
        ("error", "exit 3", ("failed", "exited", 3, "It is so")),
        ("error", "sleep 100", ("failed", "exited", None, "It is so")),
    ],
)
async def test_its_own_word_decides_and_not_the_exit_code(agent, status, then, outcome):
    operation = await run(agent, *telling(status, then=then))
    assert outcome_of(operation) == outcome


@in_database
async def test_it_is_told_and_its_lines_stay_in_the_log(agent):
    operation = await run(agent, *telling("ok", notes=["one", "two"]))
    assert operation.notes == ["one", "two"]
    line, sentinel = await lines_of(operation)
    assert (json.loads(line)["status"], sentinel) == ("ok", "__AGENT_DONE__")


@in_database
async def test_a_sentinel_without_a_result_is_a_line(agent):
    operation = await run(agent, "sh", "-c", "echo no result; echo __AGENT_DONE__; exit 3")
    assert outcome_of(operation) == ("failed", "exited", 3, "Exited with code 3")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("starting", "running"),
        ("processing", "running"),
        ("succeeded", "ok"),
        ("failed", "error"),
        ("canceled", "canceled"),
    ],
)
def test_there_is_a_result_in_every_state(status, result):
    told = status_object(make_operation(status=status))["result"]
    assert told["status"] == result
    assert (told["summary"], told["notes"], told["artifacts"], told["artifact_count"]) == (
        "",
        [],
        [],
        0,
    )


def payload(result, *, reason="exited"):
    return json.dumps({"reason": reason, "exit_code": 0, "result": result}).encode()


OK = {"status": "ok", "summary": "fine", "notes": []}
EXITED = {"status": Operation.Status.FAILED, "error": "exited", "summary": "x", "exit_code": 1}
OTHERS = [
    {"status": Operation.Status.CANCELED, "exit_code": -15},
    EXITED | {"error": "lost"},
    EXITED | {"error": "start_failed"},
]


@pytest.mark.parametrize("outcome", OTHERS)
def test_what_was_not_let_end_has_no_result(outcome):
    assert decided(outcome, payload(OK)) == outcome


@pytest.mark.parametrize("reason", ["exited", "timeout", "done"])
def test_a_result_that_came_before_the_end_counts(reason):
    decision = decided(EXITED, payload(OK, reason=reason))
    assert (decision["status"], decision["error"]) == ("succeeded", "")
    assert decision["exit_code"] == (1 if reason == "exited" else None)


RUBBISH = [None, 5, "ok", [], {}, {"status": "fine"}, {"status": ["ok"]}, {"summary": "x"}]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_result_that_is_none_changes_nothing(rubbish):
    assert decided(EXITED, payload(rubbish)) == EXITED
    assert decided(EXITED, b"rubbish") == EXITED


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["ok", "error"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["status", "summary", "notes"]), anything))
def test_whatever_an_agent_server_says_can_be_stored_and_is_bounded(told):
    result = Result.parse(told)
    if result is not None:
        assert len(result.summary) <= SUMMARY_CHARACTERS
        assert len(result.notes) <= NOTES
        for text in (result.summary, *result.notes):
            assert "\0" not in text
            text.encode()
        assert all(len(note) <= NOTE_CHARACTERS for note in result.notes)


def test_both_sides_have_the_same_bounds():
    bounds = told_results.SUMMARY_CHARACTERS, told_results.NOTES, told_results.NOTE_CHARACTERS
    assert bounds == (SUMMARY_CHARACTERS, results.NOTES, results.NOTE_CHARACTERS)
