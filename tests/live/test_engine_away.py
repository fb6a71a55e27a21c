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
from tests.live.conftest import running
from tests.product import PASSWORD
from tests.settled import differences, rows
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not engines.is_root(), reason="an engine of one's own needs root"),
]


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
