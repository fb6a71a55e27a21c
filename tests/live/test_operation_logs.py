"""Logs of operations at their limits: the cap, lines without an end, nothing at all."""

import hashlib

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.live

CAP_BYTES = 10_000_000
MARKER = "[... logs truncated at 10MB limit ...]"
# A million lines in a few writes. The carriage returns are printed, and are no part of the text.
MILLION = """
import sys
for first in range(0, 1_000_000, 50_000):
    lines = "".join(f"line {number:06d}\\r\\n" for number in range(first, first + 50_000))
    sys.stdout.buffer.write(lines.encode())
sys.exit(7)
"""
# Each bar is written over the one before it, and no line ends before the last.
PROGRESS = """
import sys, time
for step in range(101):
    sys.stdout.write(f"\\r{step:3d} %")
    sys.stdout.flush()
    time.sleep(0.01)
print("\\ndone")
"""


def text_of(product, operation):
    """The lines that the stream brings, each with a newline."""
    events = product.stream(operation)
    lines = [event["content"] for _, event in events if event["type"] == "log"]
    *kept, last = lines
    return "".join(f"{line}\n" for line in kept), last


def test_a_million_lines_at_once_are_cut_at_the_cap_to_the_byte(product, agent):
    operation = product.run(agent, "python3", "-c", MILLION)
    text, last = text_of(product, operation)
    assert last == MARKER
    printed = "".join(f"line {number:06d}\n" for number in range(1_000_000)).encode()[:CAP_BYTES]
    # A line that is cut has no newline of its own.
    kept = text.encode()[: -1 if len(text) > CAP_BYTES else None]
    assert len(kept) == CAP_BYTES
    assert hashlib.sha256(kept).digest() == hashlib.sha256(printed).digest()
    result = product.finished(operation)["result"]
    assert (result["exit_code"], result["truncated"]) == (7, True)
    assert result["log_count"] == text.count("\n") + 1
    assert result["logs"][-1] == MARKER


def test_a_progress_bar_is_one_line_with_its_carriage_returns(product, agent):
    operation = product.run(agent, "python3", "-c", PROGRESS)
    text, last = text_of(product, operation)
    assert text.split("\r") == ["", *(f"{step:3d} %" for step in range(100)), "100 %\n"]
    assert last == "done"


def test_a_program_that_prints_nothing_has_an_empty_log_and_an_end(product, agent):
    operation = product.run(agent, "true")
    numbered = [(seq, event) for seq, event in product.stream(operation) if seq]
    assert numbered == [(1, {"type": "end", "status": "succeeded", "exit_code": 0})]
    result = product.finished(operation)["result"]
    assert (result["logs"], result["log_count"], result["log_size"]) == ([], 0, 0)
    assert not result["truncated"]
    assert product.get(f"/api/v1/operations/{operation}/stream?after=1").status_code == 204


def test_a_number_beyond_the_end_waits_for_the_lines_to_come(product, agent):
    script = "until [ -e go ]; do sleep 0.1; done; seq 1 20"
    operation = product.run(agent, "sh", "-c", script)
    wait_until(lambda: product.operation(operation)["status"] == "processing")
    stream = product.stream(operation, after=15)
    assert next(stream)[1]["type"] == "status"
    product.finished(
        product.run(
            agent, "sh", "-c", f"touch /var/lib/trinity/spool/operations/{operation}/work/go"
        )
    )
    lines = [(seq, event["content"]) for seq, event in stream if event["type"] == "log"]
    assert lines == [(number, str(number)) for number in range(16, 21)]
