"""Operations on real work: every line, in order, while it runs; resume, cancel, odd output."""

import json
import re
import time

import pytest
import requests

from tests.product import PASSWORD
from tests.waiting import wait_until

pytestmark = pytest.mark.live

OPERATIONS_ADMIN = "/admin/operations/operation/"
# Walks and compiles the standard library; one line for each code object.
COMPILE = """
import sysconfig, types
from pathlib import Path

def walk(code, depth=0):
    print(f"{'  ' * depth}{code.co_qualname if hasattr(code, 'co_qualname') else code.co_name}")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            walk(constant, depth + 1)

files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
for file in files:
    print(f"== {file}", flush=True)
    walk(compile(file.read_bytes(), str(file), "exec", dont_inherit=True))
print(f"compiled {len(files)} files")
"""
COUNT = """
import time
for number in range(1, 401):
    print("line", number, flush=True)
    time.sleep(0.005)
"""
STUBBORN = """
import os, signal, subprocess, sys, time
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(name, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "987654"], start_new_session=True, stdout=subprocess.DEVNULL)
print("ready", flush=True)
while True:
    time.sleep(60)
"""
ODD = r"""
import sys
out = sys.stdout.buffer
out.write(b"bad \xff\xfe bytes\n")
out.write(b"nul \0 here\n")
out.write("cut \u20ac".encode()[:-1] + b"\n")
out.write(b"x" * 65536 + b"\n")
out.write(b"y" * 70000 + b"\n")
out.write(b"crlf\r\n")
out.write(b"\n")
out.flush()
sys.stderr.write("to stderr\n")
sys.stderr.flush()
out.write(b"no newline at the end")
"""


def log_events(events):
    return [(seq, event["content"]) for seq, event in events if event["type"] == "log"]


def test_each_line_of_real_work_is_delivered_while_it_runs(product, agent):
    operation = product.run(agent, "python3", "-W", "ignore", "-c", COMPILE)
    began, first_at, seen = time.monotonic(), None, []
    for seq, event in product.stream(operation):
        if event["type"] == "log":
            first_at = first_at or time.monotonic()
            seen.append((seq, event["content"]))
        elif event["type"] == "end":
            end = (seq, event)
    took, first_after = time.monotonic() - began, first_at - began
    print(f"{len(seen)} lines in {took:.2f} s, the first after {first_after:.3f} s")
    assert [seq for seq, _ in seen] == list(range(1, len(seen) + 1))
    assert end == (len(seen) + 1, {"type": "end", "status": "succeeded", "exit_code": 0})
    assert len(seen) > 5000
    assert seen[-1][1].startswith("compiled ")
    assert first_after < took / 4
    result = product.operation(operation, tail=5)["result"]
    assert result["log_count"] == len(seen)
    assert result["logs"] == [text for _, text in seen[-5:]]
    assert not result["truncated"]


def test_a_stream_is_resumed_in_the_middle(product, agent):
    operation = product.run(agent, "python3", "-c", COUNT)
    seen = []
    for seq, event in product.stream(operation):
        if event["type"] == "log":
            seen.append((seq, event["content"]))
        if len(seen) == 100:
            break
    # Once by the address, once by the header, which wins.
    for seq, event in product.stream(operation, after=seen[-1][0]):
        if event["type"] == "log":
            seen.append((seq, event["content"]))
        if len(seen) == 200:
            break
    seen += log_events(resumed_by_header(product, operation, seen[-1][0]))
    assert seen == [(number, f"line {number}") for number in range(1, 401)]


def resumed_by_header(product, operation, last):
    headers = {"Authorization": f"Bearer {product.token}", "Last-Event-ID": str(last)}
    path = f"{product.url}/api/v1/operations/{operation}/stream?after=0"
    with requests.get(path, headers=headers, stream=True, timeout=60) as answer:
        lines = answer.content.decode().splitlines()
    ids = [int(line[4:]) for line in lines if line.startswith("id: ")]
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    numbered = [event for event in events if event["type"] in {"log", "end"}]
    return list(zip(ids, numbered, strict=True))


def test_after_its_end_a_stream_is_not_asked_for_again(product, agent):
    operation = product.run(agent, "echo", "one")
    product.finished(operation)
    end = list(product.stream(operation))[-1][0]
    assert product.get(f"/api/v1/operations/{operation}/stream?after={end}").status_code == 204


def test_cancel_ends_a_program_that_does_not_want_to(product, agent, container_of):
    operation = product.run(agent, "python3", "-c", STUBBORN)
    next(event for _, event in product.stream(operation) if event.get("content") == "ready")
    product.cancel(operation)
    processes = container_of(product, agent).top()["Processes"]
    assert [row for row in processes if "987654" in row[-1] or "signal.SIG_IGN" in row[-1]] == []
    again = product.post(f"/api/v1/operations/{operation}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "finished")


def test_odd_output_becomes_lines_of_text(product, agent):
    operation = product.run(agent, "python3", "-c", ODD)
    lines = product.finished(operation)["result"]["logs"]
    assert "to stderr" in lines
    lines.remove("to stderr")
    assert lines == [
        "bad \ufffd\ufffd bytes",
        "nul \ufffd here",
        "cut \ufffd",
        "x" * 65536,
        "y" * 65536,
        "y" * (70000 - 65536),
        "crlf",
        "",
        "no newline at the end",
    ]


@pytest.mark.parametrize(
    ("command", "error", "exit_code"),
    [
        (["sh", "-c", "exit 3"], "exited", 3),
        (["sh", "-c", "kill -9 $$"], "exited", -9),
        (["no-such-program"], "start_failed", None),
    ],
)
def test_how_it_failed_is_told(product, agent, command, error, exit_code):
    outcome = product.finished(product.run(agent, *command))
    assert outcome["status"] == "failed"
    assert (outcome["result"]["error"], outcome["result"]["exit_code"]) == (error, exit_code)


def test_it_ends_when_its_time_is_up(product, agent):
    operation = product.run(agent, "sleep", "60", timeout_seconds=1)
    outcome = product.finished(operation, seconds=10)
    assert (outcome["status"], outcome["result"]["error"]) == ("failed", "timeout")


class Admin:
    """The operators' console, used by its forms as a browser would."""

    def __init__(self, product):
        self._product = product
        self._session = requests.Session()
        self._session.get(f"{product.url}/sign-in", timeout=10)
        self._post("/sign-in", username="admin", password=PASSWORD)

    def act(self, action, operation):
        """Choose an action for one row of the list; return the page that says what came of it."""
        return self._post(OPERATIONS_ADMIN, action=action, _selected_action=operation)

    def _post(self, path, **form):
        form["csrfmiddlewaretoken"] = self._session.cookies["csrftoken"]
        answer = self._session.post(f"{self._product.url}{path}", data=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.text


def test_the_admin_cancels_and_runs_again(product, agent):
    admin = Admin(product)
    first = product.run(agent, "sh", "-c", 'echo "$TRINITY_OPERATION"; exec sleep 600')
    wait_until(lambda: product.operation(first)["result"]["logs"] == [first])
    assert f"{first} is being canceled" in admin.act("cancel", first)
    assert product.finished(first, seconds=15)["status"] == "canceled"
    assert f"{first}: The operation has finished" in admin.act("cancel", first)
    told = admin.act("run_again", first)
    second = re.search(rf'{first} runs again as <a href="/operations/([^"]+)">', told)[1]
    wait_until(lambda: product.operation(second)["result"]["logs"] == [second])
    admin.act("cancel", second)
    assert product.finished(second, seconds=15)["status"] == "canceled"
    assert product.operation(first)["result"]["logs"] == [first]
