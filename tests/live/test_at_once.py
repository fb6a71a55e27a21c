"""Requests at the same moment, with PostgreSQL, Redis and the web apart from the supervisor."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import requests

pytestmark = pytest.mark.live

AT_ONCE = 20
RUNNERS = 6
TERMINAL = {"succeeded", "failed", "canceled"}
AGENT = "hurried"
# In the workspace, so that one sees from outside how often it ran and may end it.
RUN = 'echo ran >>"$TRINITY_WORKSPACE/runs"'


@pytest.fixture(scope="module", autouse=True)
def _agent(split):
    split.create_agent(AGENT)
    yield
    split.call("DELETE", f"/api/agents/{AGENT}")


def at_once(*calls):
    everyone = Barrier(len(calls))

    def run(call):
        everyone.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_twenty_equal_requests_with_one_key_are_one_operation(split):
    body = {"agent": AGENT, "command": ["sh", "-c", RUN]}
    headers = {"Authorization": f"Bearer {split.token}", "Idempotency-Key": "once"}

    def post():
        url = f"{split.url}/api/v1/operations"
        return requests.post(url, json=body, headers=headers, timeout=40)

    before = ids(split)
    answers = at_once(*[post] * AT_ONCE)
    assert {answer.status_code for answer in answers} == {202}
    told, *others = [answer.json() for answer in answers]
    assert all(other == told for other in others)
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert split.finished(told["id"])["status"] == "succeeded"
    assert ids(split) - before == {told["id"]}
    runs = split.finished(split.run(AGENT, "cat", "/home/developer/runs"))["result"]["logs"]
    assert runs == ["ran"]


def ids(product):
    return {each["id"] for each in product.get(f"/api/v1/operations?agent={AGENT}").json()}


def test_two_cancels_and_the_end_at_once_are_one_end(split):
    """Who comes first is another each time: the program, or one of those who cancel it."""
    script = 'until [ -e "$TRINITY_WORKSPACE/end" ]; do :; done; exit 3'
    operations = [split.run(AGENT, "sh", "-c", script) for _ in range(RUNNERS)]
    with split.socket(*[f"operation:{each}" for each in operations]) as live:
        for operation in operations:
            next(event for _, event in split.stream(operation) if is_processing(event))
        with ThreadPoolExecutor(RUNNERS) as viewers:
            streams = [viewers.submit(list, split.stream(each)) for each in operations]
            cancels = [lambda each=each: cancel(split, each) for each in operations * 2]
            _, *answers = at_once(
                lambda: split.run(AGENT, "touch", "/home/developer/end"), *cancels
            )
            ends = [stream.result(60) for stream in streams]
        outcomes = [split.finished(operation) for operation in operations]
        told = statuses(live)
    assert {answer.status_code for answer in answers} <= {204, 409}
    for number, (operation, events) in enumerate(zip(operations, ends, strict=True)):
        first, second = answers[number], answers[number + RUNNERS]
        status = outcomes[number]["status"]
        was_canceled = 204 in {first.status_code, second.status_code}
        possible = {"canceled", "failed"} if was_canceled else {"failed"}
        assert status in possible
        [(seq, end)] = [event for event in events if event[1]["type"] == "end"]
        assert (seq, end["status"]) == (1, status)
        assert told.count((operation, status)) == 1
        assert audited(split, operation) == sorted(
            {204: "done", 409: "failed"}[answer.status_code] for answer in (first, second)
        )
    assert sum(status in TERMINAL for _, status in told) == RUNNERS


def is_processing(event):
    return event.get("status") == "processing"


def cancel(product, operation):
    return product.post(f"/api/v1/operations/{operation}/cancel")


def statuses(live):
    """What was announced of operations, up to half a second of silence."""
    found = []
    try:
        while True:
            frame = json.loads(live.recv(timeout=0.5))
            if frame["event"] == "operation_status":
                found.append((frame["data"]["id"], frame["data"]["status"]))
    except TimeoutError:
        return found


def audited(product, operation):
    events = product.get(f"/api/audit?verb=cancel&object_name={operation}").json()
    return sorted(event["outcome"] for event in events)
