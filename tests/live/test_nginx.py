"""Streams through nginx as it comes, which buffers answers unless it is told not to."""

import json
import os
import time
from contextlib import contextmanager

import pytest
import requests

from tests import servers

pytestmark = pytest.mark.live

LINES = 20
CLOCK = f"""
import time
for number in range({LINES}):
    print(time.time(), flush=True)
    time.sleep(0.25)
"""
# Far above what a line takes, far below what a buffer of nginx holds back.
AT_ONCE_SECONDS = 4
KEEP_ALIVE_SECONDS = 15


@pytest.fixture(scope="module")
def before(embedded):
    """The address of nginx before a product."""
    if servers.nginx_program() is None:
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", "nginx is not installed"
        pytest.skip("nginx is not installed")
    embedded.create_agent("proxied")
    with servers.nginx(embedded.url) as url:
        yield url
    embedded.call("DELETE", "/api/agents/proxied")


@contextmanager
def streaming(product, url, operation, **headers):
    headers["Authorization"] = f"Bearer {product.token}"
    path = f"{url}/api/v1/operations/{operation}/stream"
    with requests.get(path, headers=headers, stream=True, timeout=30) as answer:
        yield answer, answer.iter_lines(chunk_size=None)


def events(lines):
    return (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))


def test_each_line_comes_at_once(embedded, before):
    operation = embedded.run("proxied", "python3", "-c", CLOCK)
    delays = []
    with streaming(embedded, before, operation) as (_, lines):
        for event in events(lines):
            if event["type"] == "log":
                delays.append(time.time() - float(event["content"]))
    print(f"{len(delays)} lines, the slowest after {max(delays) * 1000:.0f} ms")
    assert len(delays) == LINES
    assert max(delays) < AT_ONCE_SECONDS
    assert event == {"type": "end", "status": "succeeded", "exit_code": 0}
    resumed = {"Last-Event-ID": str(LINES - 1)}
    with streaming(embedded, before, operation, **resumed) as (_, lines):
        ids = [line for line in lines if line.startswith(b"id: ")]
    assert ids == [b"id: %d" % LINES, b"id: %d" % (LINES + 1)]
    with streaming(embedded, before, operation, **{"Last-Event-ID": str(LINES + 1)}) as (answer, _):
        assert answer.status_code == 204


def test_the_first_byte_comes_at_once_and_a_quiet_stream_is_kept_open(embedded, before):
    operation = embedded.run("proxied", "sleep", "60")
    asked = time.monotonic()
    with streaming(embedded, before, operation) as (_, lines):
        assert next(lines) == b"retry: 1000"
        assert time.monotonic() - asked < AT_ONCE_SECONDS
        next(event for event in events(lines) if event["status"] == "processing")
        quiet_since = time.monotonic()
        comment = next(line for line in lines if line)
    assert comment == b": keep-alive"
    assert 10 < time.monotonic() - quiet_since < KEEP_ALIVE_SECONDS + AT_ONCE_SECONDS
    embedded.post(f"/api/v1/operations/{operation}/cancel")
