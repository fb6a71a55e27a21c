"""Nothing of a unit test reaches an engine; live tests ask for a real one."""

import os
import shutil
from concurrent.futures import wait
from importlib import import_module
from threading import Barrier

import pytest
from channels.layers import channel_layers
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadFileScheduling

from agents import database, engine, live
from agents.output import shared_chunks
from agents.runtime import get_runtime
from tests import answered, emptying, engines, migrated
from trinity import api, handler

# How long an example takes is the machine's business.
hypothesis_settings.register_profile(
    "trinity", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("trinity")

TransactionTestCase._fixture_teardown = emptying.empty

# Before any handler reads the list.
django_settings.MIDDLEWARE.insert(0, "tests.answered.Answered")
# Each test client would read all static files first: half of the time of most tests.
django_settings.WHITENOISE_AUTOREFRESH = True
_served = import_module("trinity.asgi").application.application_mapping
_served["http"] = answered.listening(_served["http"])


@pytest.fixture(autouse=True)
def _documented():
    """No test gets an answer that the OpenAPI document does not have."""
    answered.problems.clear()
    yield
    assert not answered.problems, "\n".join(answered.problems)


def pytest_sessionfinish(session):
    answered.keep()
    is_last = not hasattr(session.config, "workerinput")
    if is_last and os.environ.get("TRINITY_EVERY_ANSWER") == "1" and (left := answered.missing()):
        print(f"\n{len(left)} documented answers have no test:")
        for method, path, status in left:
            print(f"  {status} {method.upper()} {path}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# The set-up of its fixtures takes longer than its tests: one worker makes them for all its files.
TOGETHER = "tests/backup/"
LONG = (
    TOGETHER,
    "tests/access/test_urls.py",
    "tests/api/test_fuzzed.py",
    "tests/operations/test_deadlines.py",
    "tests/operations/test_interleavings.py",
)


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid):
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config, items):
    live = [item for item in items if item.get_closest_marker("live")]
    # At the end, other workers would have nothing to do meanwhile: live ones wait most of the time.
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    items.sort(key=lambda item: item.get_closest_marker("live") is None)
    if not live or engines.answers():
        return
    if os.environ.get("TRINITY_REQUIRE_ENGINE") == "1":
        pytest.exit("No container engine answers, and TRINITY_REQUIRE_ENGINE=1 asks for one", 1)
    for item in live:
        item.add_marker(pytest.mark.skip(reason="no container engine answers"))


@pytest.fixture(scope="session")
def django_db_keepdb():
    """A SQLite database is there before Django looks, with nothing left to migrate."""
    return "TRINITY_TEST_DATABASE_URL" not in os.environ


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, django_db_keepdb):
    if django_db_keepdb:
        shutil.copy(migrated.database(), django_settings.DATABASES["default"]["TEST"]["NAME"])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """PostgreSQL drops no database that the product's own threads are still connected to."""
    yield
    for pool in (database._readers, engine._questions, engine._verbs, handler._threads):
        _close_connections(pool)


def _close_connections(pool):
    everyone = Barrier(max(1, len(pool._threads)))

    def close():
        # Held here until each thread of the pool has a job of its own.
        everyone.wait(30)
        connections.close_all()

    wait([pool.submit(close) for _ in range(everyone.parties)])


@pytest.fixture(autouse=True)
def _fresh_memory(monkeypatch):
    """What the product keeps in memory belongs to one test, as its event loop does."""
    cache.clear()
    channel_layers.backends.clear()
    monkeypatch.setattr(shared_chunks, "cache", shared_chunks.ChunkCache())
    monkeypatch.setattr(api, "ENGINE_STATE_SECONDS", -1)
    yield
    live.use_loop(None)


@pytest.fixture(autouse=True)
def containers(request, settings):
    """The runtime of the test: a fake one, unless the test is marked live."""
    get_runtime.cache_clear()
    if request.node.get_closest_marker("live"):
        yield None
    else:
        settings.TRINITY_RUNTIME = "tests.fakes.FakeRuntime"
        # Numbers of agents come again in each test; what one left in its directory may not.
        settings.DATA_DIR = get_runtime().folder
        yield get_runtime()
        get_runtime().close()
    get_runtime.cache_clear()
