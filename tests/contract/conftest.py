"""What every container runtime must do: the same cases for the fake one and for Docker's."""

import json
import shutil
import tempfile
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from agents import sockets
from agents.docker_runtime import DockerRuntime
from agents.runtime import ContainerSpec, Limits
from tests import engines
from tests.contract.containers import KEY


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.live)])
def kind(request):
    return request.param


@pytest.fixture
def runtime(kind, containers):
    if kind == "fake":
        return containers
    runtime = DockerRuntime()
    runtime.build_image(engines.IMAGE, print)
    return runtime


@pytest.fixture
def instance():
    return uuid4().hex[:12]


@pytest.fixture
def make_spec(runtime, instance):
    """Make specs of containers that are removed after the test with all they had."""
    folder = Path(tempfile.mkdtemp(prefix="contract-"))
    specs = []

    def make(*, main=None, of=instance):
        name = f"contract-{uuid4().hex[:8]}"
        environment = {"TRINITY_GENERATION": "7"}
        if main:
            environment["TRINITY_COMMAND"] = json.dumps(["sh", "-c", main])
        spec = ContainerSpec(
            name=name,
            image=engines.IMAGE,
            limits=Limits(memory_bytes=256 * 1024**2, cpus=0.5),
            run_directory=folder / name,
            workspace_volume=f"{name}-workspace",
            spool_volume=f"{name}-spool",
            labels={"trinity.instance": of, "trinity.spec": name},
            environment=environment,
        )
        sockets.remake_run_directory(spec.run_directory, KEY)
        specs.append(spec)
        return spec

    yield make
    for spec in specs:
        runtime.remove(spec.name)
        runtime.remove(f"{spec.name}-{spec.labels['trinity.instance']}")
        runtime.remove_volume(spec.workspace_volume)
        runtime.remove_volume(spec.spool_volume)
    shutil.rmtree(folder)


@pytest.fixture
def created(runtime, make_spec):
    return runtime.create(make_spec())


@pytest.fixture
def behind(kind, containers):
    """What somebody does to a container behind Trinity's back, by name."""
    if kind == "fake":
        yield {name: getattr(containers, name) for name in ("kill", "pause", "resume")}
        return
    with closing(engines.client()) as engine:
        api = engine.api
        yield {"kill": api.kill, "pause": api.pause, "resume": api.unpause}


@pytest.fixture
def away(kind, containers, monkeypatch):
    """A runtime whose engine does not answer."""
    if kind == "fake":
        containers.away = True
        return containers
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return DockerRuntime()
