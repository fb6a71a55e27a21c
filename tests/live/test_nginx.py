"""Streams through nginx as it comes, which buffers answers unless it is told not to; by curl."""

import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager

import pytest
import requests

from tests import servers

pytestmark = pytest.mark.live

LINES = 20
# Says nothing, and no more, before it may.
STEPS = 3
STEPWISE = f"""
for step in $(seq {STEPS}); do
    until [ -e "$TRINITY_WORKSPACE/go-$step" ]; do sleep 0.02; done
    echo "step $step"
done
"""
# Far above what a line takes, far below what a buffer of nginx holds back.
AT_ONCE_SECONDS = 4
KEEP_ALIVE_SECONDS = 15


def need(program, path):
    if path is None:
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", f"{program} is not installed"
        pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def before(embedded):
    """The address of nginx before a product."""
    need("nginx", servers.nginx_program())
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


def test_a_stream_is_whole_resumed_and_over(embedded, before):
    operation = embedded.run("proxied", "seq", str(LINES))
    with streaming(embedded, before, operation) as (_, lines):
        *told, end = events(lines)
    contents = [event["content"] for event in told if event["type"] == "log"]
    assert contents == [str(number) for number in range(1, LINES + 1)]
    assert end == {"type": "end", "status": "succeeded", "exit_code": 0}
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


@contextmanager
def curling(product, url, operation):
    """Give what ``curl -N`` writes; what it has not got in time never comes."""
    command = ["curl", "-N", "-sS", "--fail", "--max-time", "30"]
    command += ["-H", f"Authorization: Bearer {product.token}"]
    command.append(f"{url}/api/v1/operations/{operation}/stream")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        try:
            yield curl
        finally:
            curl.kill()


def read_to(curl, wanted):
    """Read up to the line, which must come at once."""
    asked = time.monotonic()
    assert next((line for line in curl.stdout if line == wanted), None)
    assert time.monotonic() - asked < AT_ONCE_SECONDS


def log_line(content):
    return f'data: {{"type": "log", "content": "{content}"}}\n'


def test_curl_shows_the_first_bytes_at_once_and_each_line_as_it_is_written(embedded, before):
    need("curl", shutil.which("curl"))
    operation = embedded.run("proxied", "sh", "-c", STEPWISE)
    with ExitStack() as stack:
        direct, proxied = [
            stack.enter_context(curling(embedded, url, operation)) for url in (embedded.url, before)
        ]
        for curl in (direct, proxied):
            read_to(curl, "retry: 1000\n")
        for step in range(1, STEPS + 1):
            path = f"/api/agents/proxied/files?path=go-{step}"
            embedded.call("PUT", path).raise_for_status()
            for curl in (direct, proxied):
                read_to(curl, log_line(f"step {step}"))
        for curl in (direct, proxied):
            rest = curl.stdout.read().splitlines()
            end = {"type": "end", "status": "succeeded", "exit_code": 0}
            assert rest[-3:] == [f"id: {STEPS + 1}", f"data: {json.dumps(end)}", ""]
            assert curl.wait(10) == 0
