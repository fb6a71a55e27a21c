"""Agents made from a template, in real containers: command, figures, chat, activities."""

import json
import threading
import time
from contextlib import suppress

import pytest
import requests

from tests.product import next_frame
from tests.waiting import wait_until

pytestmark = pytest.mark.live

PROGRAM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("the template's own program runs", flush=True)
time.sleep(3600)
"""
TALKER = {
    "name": "talker",
    "display_name": "Talker",
    "resources": {"memory": "1g", "cpu": "1"},
    "command": ["python3", "-c", PROGRAM],
    "prompt_command": ["sh", "-c", 'echo hm >&2; echo "You said: $1"', "-", "{prompt}"],
    "metrics": [{"name": "words", "type": "counter", "label": "Words written"}],
    "capabilities": ["talking"],
}
FAILING = {"name": "failing", "command": ["sh", "-c", "echo no use; exit 7"]}


def write(product, name, content):
    folder = product.data_dir / "agent-templates" / name
    folder.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "template.yaml").write_text(text)


def activities(product, agent, **query):
    found = product.get(f"/api/agents/{agent}/activities", params=query).json()["activities"]
    return [
        (each["details"].get("verb"), each["activity_state"], each["triggered_by"])
        for each in reversed(found)
    ]


def is_of_chat(activity):
    return activity["activity_type"].startswith("chat")


@pytest.fixture(scope="module")
def talker(product):
    write(product, "talker", TALKER)
    product.create_agent("talker", template="local:talker")
    yield "talker"
    product.call("DELETE", "/api/agents/talker")


def test_its_program_runs_in_the_container_with_its_limits(product, talker, container_of):
    logs = wait_until(lambda: product.get("/api/agents/talker/logs").json()["logs"])
    wait_until(lambda: "own program runs" in product.get("/api/agents/talker/logs").json()["logs"])
    assert logs
    container = container_of(product, talker)
    assert container.attrs["HostConfig"]["Memory"] == 1024**3
    programs = [row[-1] for row in container.top()["Processes"]]
    assert any("own program runs" in program for program in programs)
    told = product.get("/api/agents/talker/info").json()
    assert (told["has_template"], told["capabilities"]) == (True, ["talking"])
    assert told["resources"] == {"cpu": "1", "memory": "1g"}


def test_a_changed_template_changes_no_agent(product, talker):
    try:
        write(product, "talker", {**TALKER, "resources": {"memory": "2g"}, "command": []})
        [shown] = [
            each for each in product.get("/api/templates").json() if each["id"] == "local:talker"
        ]
        assert shown["resources"]["memory"] == "2g"
        assert product.get("/api/agents/talker/info").json()["resources"]["memory"] == "1g"
    finally:
        write(product, "talker", TALKER)


def test_a_broken_template_makes_no_agent(product):
    write(product, "broken", "name: [")
    answer = product.post("/api/agents", {"name": "never", "template": "local:broken"})
    assert (answer.status_code, answer.json()["code"]) == (400, "broken_template")
    assert "not valid YAML" in answer.json()["detail"]
    assert product.get("/api/agents/never").status_code == 404


def test_an_agent_whose_program_ends_says_with_which_code(product):
    write(product, "failing", FAILING)
    answer = product.post("/api/agents", {"name": "failing", "template": "local:failing"})
    try:
        # Gone before it was ready, or just after.
        if answer.status_code == 200:
            ended = wait_until(
                lambda: (
                    product.agent("failing")
                    if product.agent("failing")["status"] != "running"
                    else None
                )
            )
            assert "exit code 7" in ended["status_reason"]
        else:
            assert answer.status_code == 503
            assert "exit code 7" in answer.json()["detail"]
    finally:
        product.call("DELETE", "/api/agents/failing")


@pytest.mark.parametrize("isolated", [False, True])
def test_a_prompt_becomes_the_command_that_its_template_names(product, talker, isolated):
    asked = {"agent": talker, "prompt": "a b; exit 3", "isolated": isolated}
    told = product.finished(product.post("/api/v1/operations", asked).json()["id"])
    assert told["status"] == "succeeded"
    assert "You said: a b; exit 3" in told["result"]["logs"]


def test_its_figures_come_from_its_workspace(product, talker):
    path = "/api/agents/talker/metrics"
    assert not product.get(path).json()["has_metrics"]
    text = '{"values": {"words": 12}, "last_updated": "2030-01-01T00:00:00Z"}'
    written = product.run(talker, "sh", "-c", f"echo '{text}' >$TRINITY_WORKSPACE/metrics.json")
    assert product.finished(written)["status"] == "succeeded"
    assert product.get(path).json() == {
        "agent_name": "talker",
        "status": "running",
        "has_metrics": True,
        "definitions": TALKER["metrics"],
        "values": {"words": 12},
        "last_updated": "2030-01-01T00:00:00.000000Z",
    }


def test_it_answers_a_chat_and_those_who_watch_see_it(product, talker):
    with product.socket("agent:talker") as live:
        # Frames are answered in order, so the subscription is in force.
        live.send("rubbish")
        next_frame(live, "error")
        began = time.monotonic()
        answer = product.post("/api/agents/talker/chat", {"message": "$(id); 'hello'"})
        print(f"answered in {time.monotonic() - began:.3f} s")
        told = [
            next_frame(live, "activity", where=is_of_chat),
            next_frame(live, "activity", where=lambda data: data["activity_type"] == "chat_end"),
        ]
    assert answer.status_code == 200, answer.text
    assert answer.json()["response"] == "You said: $(id); 'hello'"
    execution = answer.json()["execution"]
    assert execution["queue_status"] == "succeeded"
    # The log has both; what was written to standard error is no part of the answer.
    logged = product.operation(execution["id"])["result"]["logs"]
    assert sorted(logged) == ["You said: $(id); 'hello'", "hm"]
    assert [each["activity_state"] for each in told] == ["started", "completed"]
    assert told[1]["related_execution_id"] == execution["id"]
    assert product.get("/api/agents/talker/activity").json()["status"] == "idle"


def test_many_wait_for_answers_and_the_rest_goes_on(product, talker):
    """More than Django has threads: waiting for an agent takes none of them."""
    write_slow = {**TALKER, "prompt_command": ["sh", "-c", "sleep 3; echo late", "-"]}
    write(product, "slow", write_slow)
    product.create_agent("slow", template="local:slow")
    statuses = []

    def chat():
        answer = product.post("/api/agents/slow/chat", {"message": "x"}, timeout=120)
        statuses.append((answer.status_code, answer.json().get("response")))

    try:
        threads = [threading.Thread(target=chat) for _ in range(80)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        slowest = 0.0
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            assert product.get("/api/auth/mode", timeout=20).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.1)
        print(f"80 chats; the slowest other request took {slowest:.3f} s")
        assert statuses == [(200, "late")] * 80
    finally:
        product.call("DELETE", "/api/agents/slow")


def test_prometheus_can_read_how_things_stand(product, talker):
    text = product.get("/metrics").text
    assert 'trinity_agents{status="running"}' in text
    assert "trinity_engine_up 1.0" in text
    lag = next(line for line in text.splitlines() if line.startswith("trinity_supervisor_lag"))
    assert float(lag.split()[1]) < 10
    assert 'trinity_http_request_duration_seconds_count{method="POST",route="api/agents"' in text


def test_a_verb_whose_process_was_killed_is_closed_and_done_again(own_product):
    product = own_product
    write(product, "talker", TALKER)
    product.create_agent("talker", template="local:talker")

    # Its program does not heed SIGTERM, so this takes some seconds.
    def restart():
        with suppress(requests.ConnectionError):
            product.post("/api/agents/talker/restart", {"timeout_seconds": 15})

    asking = threading.Thread(target=restart)
    asking.start()
    wait_until(lambda: ("restart", "started", "user") in activities(product, "talker"))
    product.kill()
    asking.join(30)
    product.start()
    expected = [
        ("create", "completed", "user"),
        ("restart", "failed", "user"),
        ("restart", "completed", "system"),
    ]
    wait_until(lambda: activities(product, "talker") == expected, seconds=60)
    assert product.agent("talker")["status"] == "running"
