"""The engine is stopped, or stops answering: told at once, and over by itself."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from html import unescape

import docker
import pytest
import requests

from tests import engines
from tests.following import Viewer
from tests.live.conftest import running
from tests.product import PASSWORD
from tests.settled import change, differences, rows
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not engines.is_root(), reason="an engine of one's own needs root"),
]
# Writes down what it has printed.
STEPS = """
import os, sys, time
count = int(sys.argv[1])
with open(os.environ["TRINITY_WORKSPACE"] + "/printed", "w") as printed:
    for number in range(1, count + 1):
        print("step", number, flush=True)
        print("step", number, file=printed, flush=True)
        time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def engine():
    """An engine that may be stopped."""
    with engines.private_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def product(engine):
    """With one agent that runs, and one that somebody stopped."""
    with running(engine=engine.url) as product:
        product.create_agent("runs")
        product.create_agent("stopped")
        product.post("/api/agents/stopped/stop", {"timeout_seconds": 1}).raise_for_status()
        yield product


@pytest.fixture
def stopped(engine, product):
    engine.stop()
    wait_until(lambda: away(product), seconds=10)
    yield
    engine.start()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)


@pytest.fixture
def frozen(engine, product):
    engine.freeze()
    yield
    engine.thaw()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)


def away(product):
    return product.get("/api/agents").headers.get("Trinity-Engine", "").startswith("away; since=")


def as_before(product):
    statuses = {agent["name"]: agent["status"] for agent in product.get("/api/agents").json()}
    healthy = requests.get(f"{product.url}/health", timeout=10).status_code == 200
    return not away(product) and healthy and statuses == {"runs": "running", "stopped": "stopped"}


def refused(product, verb, *, seconds):
    """The verb is answered 503 within the time, with when to come back."""
    path, body = (
        ("/api/agents", {"name": "never"})
        if verb == "create"
        else (f"/api/agents/runs/{verb}", None)
    )
    began = time.monotonic()
    answer = product.post(path, body)
    took = time.monotonic() - began
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "engine_unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert took < seconds, f"{verb} took {took:.1f} s"


def nothing_left(product, engine):
    with closing(docker.DockerClient(engine.url, timeout=60)) as client:
        assert differences(product, client) == []
    assert rows(product, "SELECT name FROM agents_agent WHERE name = 'never'") == []


def test_verbs_are_refused_at_once(product, stopped):
    for verb in ("create", "start", "stop", "restart"):
        refused(product, verb, seconds=4)


def test_lists_go_on_and_say_so(product, stopped):
    answer = product.get("/api/agents")
    assert answer.status_code == 200
    assert re.fullmatch(r"away; since=\d{4}-\d\d-\d\dT\S+Z", answer.headers["Trinity-Engine"])
    assert {agent["name"] for agent in answer.json()} == {"runs", "stopped"}
    detail = product.get("/api/agents/runs")
    assert (detail.status_code, "Trinity-Engine" in detail.headers) == (200, True)
    assert "agent server ready" in product.get("/api/agents/runs/logs").json()["logs"]


def test_health_names_the_engine(product, stopped):
    answer = requests.get(f"{product.url}/health", timeout=10)
    assert answer.status_code == 503
    assert answer.json()["failing"] == "engine"
    assert "Retry-After" in answer.headers


def test_pages_say_so(product, stopped):
    page = agents_page(product)
    assert "hidden" not in banner(page)
    assert "The container engine is away" in unescape(page)


def test_pages_are_quiet_while_it_is_here(product):
    assert "hidden" in banner(agents_page(product))


def agents_page(product):
    with requests.Session() as session:
        session.get(f"{product.url}/sign-in", timeout=10)
        form = {
            "username": "admin",
            "password": PASSWORD,
            "csrfmiddlewaretoken": session.cookies["csrftoken"],
        }
        session.post(f"{product.url}/sign-in", data=form, timeout=10).raise_for_status()
        return session.get(f"{product.url}/agents", timeout=10).text


def banner(page):
    return re.search(r'<section[^>]*id="engine"[^>]*>', page)[0]


def test_an_engine_that_stops_answering_holds_up_no_verb(product, engine, frozen):
    verbs = ("create", "start", "stop", "restart")
    with ThreadPoolExecutor(len(verbs)) as threads:
        # Nobody has noticed yet: each of them finds out for itself.
        list(threads.map(lambda verb: refused(product, verb, seconds=5), verbs))
    wait_until(lambda: away(product), seconds=15)
    for verb in verbs:
        refused(product, verb, seconds=4)
    engine.thaw()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    nothing_left(product, engine)


def test_it_recovers_by_itself(product, engine):
    before = product.agent("runs")["container_id"]
    engine.stop()
    wait_until(lambda: away(product), seconds=10)
    engine.start()
    began = time.monotonic()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    print(f"as before {time.monotonic() - began:.1f} s after the engine answers")
    assert product.agent("runs")["container_id"] == before
    outcome = product.finished(product.run("runs", "echo", "works"))
    assert outcome["result"]["logs"] == ["works"]
    product.post("/api/agents/runs/restart", {"timeout_seconds": 1}).raise_for_status()
    nothing_left(product, engine)


def test_a_product_started_without_it_waits_for_it(product, engine):
    product.stop()
    engine.stop()
    product.start()
    wait_until(lambda: away(product), seconds=10)
    refused(product, "create", seconds=4)
    engine.start()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    nothing_left(product, engine)


class Both:
    """The same program in the agent and isolated, each with a viewer."""

    def __init__(self, product, count):
        command = ("python3", "-c", STEPS, str(count))
        self._product = product
        self.operations = [
            product.run("runs", *command, isolated=is_isolated) for is_isolated in (False, True)
        ]
        self.viewers = [Viewer(product, operation) for operation in self.operations]

    def has(self, lines):
        return lambda: min(len(viewer.lines) for viewer in self.viewers) >= lines

    def go_on(self):
        """Wait for more than there is now."""
        wait_until(self.has(max(len(viewer.lines) for viewer in self.viewers) + 20), seconds=30)

    def ends(self):
        for viewer in self.viewers:
            viewer.join(60)
            texts = viewer.texts()
            assert texts == [f"step {number}" for number in range(1, len(texts) + 1)]
        results = [self._product.operation(each)["result"] for each in self.operations]
        return [
            (viewer.end["status"], result["error"], len(viewer.lines))
            for viewer, result in zip(self.viewers, results, strict=True)
        ]


def test_operations_go_on_while_the_engine_does_not_answer(product, engine):
    long, short = Both(product, 600), Both(product, 150)
    wait_until(short.has(20), seconds=30)
    engine.freeze()
    try:
        # What has begun does not need it, not even to end.
        assert short.ends() == [("succeeded", None, 150)] * 2
        wait_until(lambda: away(product), seconds=15)
        long.go_on()
        # What is to begin needs it, or not.
        inside = product.finished(product.run("runs", "echo", "inside"))
        assert inside["result"]["logs"] == ["inside"]
        outside = ("runs", "echo", "outside")
        waits, gives_up, hopeless = [product.run(*outside, isolated=True) for _ in range(3)]
        make_it_wait_longer(product, hopeless)
        told = product.finished(hopeless)
        assert (told["status"], told["result"]["error"]) == ("failed", "engine_unavailable")
        assert "away for five minutes" in told["result"]["summary"]
        product.post(f"/api/v1/operations/{gives_up}/cancel").raise_for_status()
        assert product.finished(gives_up)["status"] == "canceled"
        assert product.operation(waits)["status"] == "starting"
    finally:
        engine.thaw()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    assert long.ends() == [("succeeded", None, 600)] * 2
    assert product.finished(waits)["result"]["logs"] == ["outside"]
    wait_until_nothing_left(product, engine)


def make_it_wait_longer(product, operation):
    """As if it were asked for six minutes ago, when the engine was away already."""
    earlier = "SET {0} = datetime({0}, '-6 minutes')"
    change(product, "UPDATE agents_host " + earlier.format("away_since"))
    asked = "UPDATE operations_operation " + earlier.format("created_at")
    change(product, f"{asked} WHERE id = ?", operation.replace("-", ""))


@pytest.fixture
def keeping(engine):
    """While the engine is stopped, containers go on."""
    engine.keep_containers(keep=True)
    yield engine
    engine.keep_containers(keep=False)


def test_operations_go_on_while_an_engine_is_stopped_that_keeps_its_containers(product, keeping):
    both = Both(product, 600)
    wait_until(both.has(20), seconds=30)
    keeping.stop()
    wait_until(lambda: away(product), seconds=10)
    both.go_on()
    keeping.start()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    assert both.ends() == [("succeeded", None, 600)] * 2
    wait_until_nothing_left(product, keeping)


def test_what_an_engine_takes_down_with_it_ends_with_all_that_it_printed(product, engine):
    both = Both(product, 3000)
    wait_until(both.has(20), seconds=30)
    engine.stop()
    engine.start()
    wait_until(lambda: as_before(product), seconds=30, step=0.1)
    ends = both.ends()
    assert [end[:2] for end in ends] == [("failed", "lost")] * 2
    printed = product.finished(product.run("runs", "cat", "/home/developer/printed"))["result"]
    assert 20 <= printed["log_count"] <= ends[0][2] <= printed["log_count"] + 1
    wait_until_nothing_left(product, engine)


def wait_until_nothing_left(product, engine):
    with closing(docker.DockerClient(engine.url, timeout=60)) as client:
        wait_until(lambda: differences(product, client) == [], seconds=30, step=0.2)
    kept = ("ls", "/var/lib/trinity/spool/operations")
    # Nothing but itself.
    wait_until(lambda: product.finished(product.run("runs", *kept))["result"]["log_count"] == 1)
