"""Products for live tests: each a real installation, taken away with all that it made.

What the two ways to run the product must have in common asks for ``product`` and is run in
both; the rest asks for ``embedded`` (shared) or ``own_product`` (to be killed).
"""

import os
import signal
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests import engines, servers
from tests.product import Product

MODES = ("embedded", "split")
# Looked at only at the start: a sparse file counts in full, and an agent of which a test wants to
# see what becomes of a terabyte would be stopped if it was looked at just then.
SELDOM = {"TRINITY_DISK_SECONDS": "3600"}


@pytest.fixture(scope="session", autouse=True)
def _clean_up_when_told_to_end():
    """A run that takes too long is ended by SIGTERM: its containers must not stay."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@contextmanager
def running(**options):
    product = Product(**options)
    try:
        product.start()
        yield product
    finally:
        # Shown by pytest beside what failed.
        for log in product.data_dir.glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-10_000:]}")
        product.remove()


@pytest.fixture(scope="session")
def embedded():
    """A product in one process, which has made its tables itself, as a user's does."""
    with running(fresh=True, environment=SELDOM) as product:
        yield product


@pytest.fixture(scope="session")
def split():
    """A product in two processes, with PostgreSQL and Redis."""
    if lacking := servers.missing():
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", f"{lacking} cannot be run here"
        pytest.skip(f"{lacking} cannot be run here")
    with ExitStack() as stack:
        environment = {
            **SELDOM,
            "DATABASE_URL": stack.enter_context(servers.postgres()),
            "REDIS_URL": stack.enter_context(servers.redis()),
        }
        yield stack.enter_context(running(split=True, environment=environment))


@pytest.fixture(scope="session", params=MODES)
def product(request):
    """A running product, shared by all tests, in each mode after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def limited():
    """A product in one process, whose limits are soon reached."""
    environment = {
        "TRINITY_DISK_SECONDS": "1",
        "TRINITY_OPERATIONS_PER_AGENT": "2",
        "TRINITY_QUEUE_PER_USER": "4",
    }
    with running(environment=environment) as product:
        yield product


@pytest.fixture
def own_product():
    """A running product that the test may kill."""
    with running() as product:
        yield product


@pytest.fixture(scope="session")
def engine():
    """The engine of the environment, for what is done behind Trinity's back."""
    with closing(engines.client()) as client:
        yield client


@pytest.fixture(scope="module")
def container_of(engine):
    """The container that the engine has for an agent of a product."""

    def find(product, name):
        return engine.containers.get(product.agent(name)["container_id"])

    return find


@pytest.fixture(scope="module")
def agent(product, request):
    """The name of a running agent, shared by the tests of a module; left as it was found."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    product.create_agent(name, resources={"memory": "1g", "cpu": "1"})
    yield name
    product.call("DELETE", f"/api/agents/{name}")
