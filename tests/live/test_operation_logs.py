"""Logs of operations at their limits: the cap, lines without an end, nothing at all."""

import hashlib
import re

import pytest

from tests.settled import rows
from tests.waiting import wait_until

pytestmark = pytest.mark.live

CAP_BYTES = 10_000_000
CHUNK_BYTES = 64 * 1024
MARKER = "[... logs truncated at 10MB limit ...]"
EVENT = re.compile(rb'id: (\d+)\ndata: {"type": "log", "content": "([^"]*)"}\n\n')
# A million lines in a few writes. The carriage returns are printed, and are no part of the text.
MILLION = """
import sys
for first in range(0, 1_000_000, 50_000):
    lines = "".join(f"line {number:06d}\\r\\n" for number in range(first, first + 50_000))
    sys.stdout.buffer.write(lines.encode())
sys.exit(7)
"""
BELOW = """
import sys
for first in range(0, 1_000_000, 50_000):
    lines = "".join(f"{number:05x}\\n" for number in range(first, first + 50_000))
    sys.stdout.buffer.write(lines.encode())
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


def plain_text_of(product, operation):
    """Likewise, of lines without anything that JSON would write otherwise; a million of them."""
    events = product.get(f"/api/v1/operations/{operation}/stream").content
    numbers, lines = zip(*EVENT.findall(events), strict=True)
    assert numbers == tuple(b"%d" % number for number in range(1, len(lines) + 1))
    *kept, last = lines
    return b"\n".join([*kept, b""]).decode(), last.decode()


def test_a_million_lines_at_once_are_cut_at_the_cap_to_the_byte(product, agent):
    operation = product.run(agent, "python3", "-c", MILLION)
    text, last = plain_text_of(product, operation)
    assert last == MARKER
    printed = "".join(f"line {number:06d}\n" for number in range(1_000_000)).encode()[:CAP_BYTES]
    # A line that is cut has no newline of its own.
    kept = text.encode()[: -1 if len(text) > CAP_BYTES else None]
    assert len(kept) == CAP_BYTES
    assert hashlib.sha256(kept).digest() == hashlib.sha256(printed).digest()
    result = product.finished(operation)["result"]
    assert (result["exit_code"], result["truncated"]) == (7, True)
    assert result["log_count"] == text.count("\n") + 1
    assert result["log_size"] <= CAP_BYTES + 100
    assert result["logs"][-1] == MARKER


def test_a_million_lines_at_once_below_the_cap_are_stored_once_each_and_in_order(product, agent):
    operation = product.run(agent, "python3", "-c", BELOW)
    result = product.finished(operation)["result"]
    assert (result["log_count"], result["log_size"]) == (1_000_000, 6_000_000)
    assert not result["truncated"]
    stored = product.get(f"/api/v1/operations/{operation}/logs/download").text
    # Not compared by pytest, which would explain the difference for minutes.
    is_whole = stored == "".join(f"{number:05x}\n" for number in range(1_000_000))
    assert is_whole
    largest, numbered = rows(
        product,
        "SELECT max(length(text)), sum(last_seq - first_seq + 1) FROM agents_logchunk "
        f"WHERE log_id = (SELECT log_id FROM operations_operation WHERE id = '{hexed(operation)}')",
    )[0]
    assert numbered == 1_000_000
    assert largest <= CHUNK_BYTES + len("fffff\n")


def hexed(operation):
    """The id as SQLite has it; PostgreSQL takes it too."""
    return operation.replace("-", "")


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
