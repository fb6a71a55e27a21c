"""Where the host's cgroups cannot be seen, the engine's own figures are recorded."""

from contextlib import closing, suppress
from uuid import uuid4

import docker
import pytest

from agents.docker_runtime import DockerRuntime
from agents.figures import cgroups
from tests import engines
from tests.waiting import wait_until

pytestmark = pytest.mark.live

BUSY = ["python3", "-c", "x = b'x' * 50_000_000\nwhile True: pass"]


@pytest.fixture
def busy():
    """A container that takes half a core and fifty megabytes."""
    with closing(engines.client()) as engine:
        DockerRuntime().build_image(engines.IMAGE, print)
        container = engine.containers.run(
            engines.IMAGE,
            BUSY,
            entrypoint="",
            name=f"busy-{uuid4().hex[:8]}",
            detach=True,
            network_mode="none",
            nano_cpus=500_000_000,
            mem_limit="256m",
        )
        yield container
        with suppress(docker.errors.NotFound):
            container.remove(force=True)


@pytest.fixture
def unseen(monkeypatch, tmp_path):
    """The cgroup tree as a process sees it that runs on another machine than the engine."""
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    cgroups._folders.cache_clear()
    yield
    cgroups._folders.cache_clear()


def sampled(runtime, container):
    """The next sample that has figures."""

    def known():
        usage = runtime.usage([container]).get(container.id)
        assert usage is not None
        return usage if usage.cpu_seconds is not None else None

    return wait_until(known, seconds=20)


def test_the_engine_tells_what_the_kernel_would(busy, request):
    runtime = DockerRuntime()
    container = runtime.inspect(busy.id)
    wait_until(lambda: runtime.usage([container])[busy.id].memory_bytes > 40_000_000)
    from_kernel = runtime.usage([container])[busy.id]
    # From here on it is as on another machine than the engine's.
    request.getfixturevalue("unseen")
    first = sampled(runtime, container)
    assert first.cpu_seconds >= from_kernel.cpu_seconds
    # What it holds may grow between the two.
    assert first.memory_bytes == pytest.approx(from_kernel.memory_bytes, rel=0.5)
    assert first.memory_limit_bytes == from_kernel.memory_limit_bytes == 256 * 1024**2
    # A network that is not there has no counters, and not counters of 0.
    assert first.network_rx_bytes is None
    second = wait_until(lambda: _later(runtime, container, first), seconds=20)
    cores = (second.cpu_seconds - first.cpu_seconds) / (second.at - first.at)
    assert 0.1 < cores < 0.7


def _later(runtime, container, than):
    usage = sampled(runtime, container)
    return usage if usage.at > than.at + 2 else None


@pytest.mark.usefixtures("unseen")
def test_before_the_first_sample_nothing_is_known(busy):
    runtime = DockerRuntime()
    usage = runtime.usage([runtime.inspect(busy.id)])[busy.id]
    assert usage.cpu_seconds is usage.memory_bytes is usage.memory_limit_bytes is None


@pytest.mark.usefixtures("unseen")
def test_a_container_that_is_gone_is_left_out(busy):
    runtime = DockerRuntime()
    container = runtime.inspect(busy.id)
    sampled(runtime, container)
    busy.remove(force=True)
    wait_until(lambda: busy.id not in runtime.usage([container]), seconds=20)
