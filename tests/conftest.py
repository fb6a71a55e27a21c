"""Nothing of a unit test reaches an engine; live tests ask for a real one."""

import os

import pytest
from django.core.cache import cache

from agents.runtime import get_runtime
from tests import engines


def pytest_collection_modifyitems(config, items):
    live = [item for item in items if item.get_closest_marker("live")]
    if not live or engines.answers():
        return
    if os.environ.get("TRINITY_REQUIRE_ENGINE") == "1":
        pytest.exit("No container engine answers, and TRINITY_REQUIRE_ENGINE=1 asks for one", 1)
    for item in live:
        item.add_marker(pytest.mark.skip(reason="no container engine answers"))


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()


@pytest.fixture(autouse=True)
def containers(request, settings):
    """The runtime of the test: a fake one, unless the test is marked live."""
    get_runtime.cache_clear()
    if request.node.get_closest_marker("live"):
        yield None
    else:
        settings.TRINITY_RUNTIME = "tests.fakes.FakeRuntime"
        yield get_runtime()
        get_runtime().close()
    get_runtime.cache_clear()
