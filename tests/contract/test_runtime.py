"""What every container runtime must do: the same cases for the fake one and for Docker's."""

import asyncio
import gc
import json
import shutil
import tempfile
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from agents import sockets
from agents.docker_runtime import DockerRuntime
from agents.errors import (
    AgentUnavailable,
    ContainerMissing,
    EngineRefused,
    EngineUnavailable,
    ImageMissing,
    StartFailed,
)
from agents.runtime import Change, ContainerSpec, ContainerStatus, Limits, Network
from agents.wire import configure
from tests import engines
from tests.waiting import wait_until

KEY = "7" * 64
UNKNOWN = "f" * 64
TALKING = "for i in 1 2 3; do echo out $i; sleep 0.01; done; echo err >&2; exit 3"


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
def kill(kind, containers):
    """End a container behind Trinity's back."""

    def kill_container(container_id):
        if kind == "fake":
            containers.kill(container_id)
            return
        with closing(engines.client()) as engine:
            engine.api.kill(container_id)

    return kill_container


def start(runtime, spec):
    """Start a container and wait until its server has what its own program waits for."""
    container_id = runtime.create(spec)
    runtime.start(container_id)

    def answers():
        try:
            connection = runtime.connect(container_id, spec.run_directory)
            return configure(connection, KEY, 7, environment={})
        except AgentUnavailable:
            return None

    assert wait_until(answers, seconds=20)
    return container_id


def wait_for_end(runtime, container_id):
    wait_until(lambda: runtime.inspect(container_id).status is ContainerStatus.EXITED, seconds=20)


def test_the_engine_tells_who_it_is(runtime):
    runtime.check()
    engine = runtime.describe()
    assert engine.id
    assert engine.name
    assert engine.cpus >= 1
    assert engine.memory_bytes > 0


def test_a_container_is_created_once(runtime, make_spec, instance):
    spec = make_spec()
    assert runtime.create(spec) == runtime.create(spec)
    assert len(runtime.containers(instance=instance)) == 1


def test_a_name_that_another_has_is_made_longer(runtime, make_spec):
    spec = make_spec()
    first = runtime.create(spec)
    other = replace(spec, labels=spec.labels | {"trinity.spec": "other"})
    second = runtime.create(other)
    assert second != first
    assert runtime.create(other) == second
    assert runtime.inspect(second).name == f"{spec.name}-{spec.labels['trinity.instance']}"
    with pytest.raises(StartFailed):
        runtime.create(replace(spec, labels=spec.labels | {"trinity.spec": "third"}))


def test_a_container_of_another_generation_is_not_taken_for_it(runtime, make_spec):
    spec = make_spec()
    spec = replace(spec, labels=spec.labels | {"trinity.generation": "1"})
    first = runtime.create(spec)
    other = replace(spec, labels=spec.labels | {"trinity.generation": "2"})
    assert runtime.create(other) != first


def test_a_container_gets_another_name_and_keeps_it(runtime, make_spec):
    spec = make_spec()
    container_id = runtime.create(spec)
    name = f"{spec.name}.old-7"
    for _ in range(2):
        runtime.rename(container_id, name)
        assert runtime.inspect(container_id).name == name
    # The first name is free again, and a container that runs can have it.
    second = start(runtime, spec)
    runtime.rename(second, f"{spec.name}.new-8")
    runtime.rename(container_id, spec.name)
    assert runtime.inspect(container_id).name == spec.name
    runtime.remove(second)


def test_a_new_name_that_another_has_is_made_longer(runtime, make_spec, instance):
    first, second, third = (make_spec() for _ in range(3))
    runtime.create(first)
    longer = runtime.create(second)
    for _ in range(2):
        runtime.rename(longer, first.name)
        assert runtime.inspect(longer).name == f"{first.name}-{instance}"
    with pytest.raises(StartFailed):
        runtime.rename(runtime.create(third), first.name)
    runtime.remove(longer)


def test_an_image_that_is_missing_is_told(runtime, make_spec):
    missing = f"no-such-image-{uuid4().hex[:8]}:latest"
    assert runtime.has_image(engines.IMAGE)
    assert not runtime.has_image(missing)
    with pytest.raises(ImageMissing):
        runtime.create(replace(make_spec(), image=missing))


def test_a_container_that_was_created_does_not_run(runtime, make_spec):
    spec = make_spec()
    container = runtime.inspect(runtime.create(spec))
    assert container.name == spec.name
    assert container.status is ContainerStatus.CREATED
    assert container.pid is None
    assert container.started_at is None
    assert container.finished_at is None
    assert spec.labels.items() <= container.labels.items()


def test_starting_is_idempotent(runtime, created):
    runtime.start(created)
    first = runtime.inspect(created)
    runtime.start(created)
    assert runtime.inspect(created) == first
    assert first.status is ContainerStatus.RUNNING
    assert first.pid
    assert first.started_at


def test_stopping_is_idempotent_and_ends_in_time(runtime, make_spec):
    container_id = start(runtime, make_spec())
    for _ in range(2):
        runtime.stop(container_id, grace_seconds=5)
    container = runtime.inspect(container_id)
    assert container.status is ContainerStatus.EXITED
    assert container.exit_code == 0
    assert container.pid is None
    assert container.finished_at >= container.started_at


def test_what_was_stopped_can_be_started_again(runtime, make_spec):
    spec = make_spec()
    container_id = start(runtime, spec)
    runtime.stop(container_id)
    assert start(runtime, spec) == container_id


def test_removing_is_idempotent_also_of_what_runs(runtime, created, instance):
    runtime.start(created)
    for _ in range(2):
        runtime.remove(created)
    assert runtime.containers(instance=instance) == []


def test_a_volume_is_removed_once_or_twice(runtime, make_spec):
    spec = make_spec()
    runtime.remove(runtime.create(spec))
    for _ in range(2):
        runtime.remove_volume(spec.workspace_volume)


def test_of_an_unknown_container_only_stop_and_remove_say_nothing(runtime):
    runtime.stop(UNKNOWN)
    runtime.remove(UNKNOWN)
    for verb in (runtime.start, runtime.inspect):
        with pytest.raises(ContainerMissing):
            verb(UNKNOWN)
    with pytest.raises(ContainerMissing):
        runtime.update(UNKNOWN, Limits(1024**3, 1))


@pytest.mark.parametrize("follow", [True, False])
async def test_an_unknown_container_has_no_log(runtime, follow):
    with pytest.raises(ContainerMissing):
        await read_log(runtime, UNKNOWN, follow=follow)


def test_the_exit_code_is_told(runtime, make_spec, kill):
    failed = start(runtime, make_spec(main="exit 3"))
    wait_for_end(runtime, failed)
    assert runtime.inspect(failed).exit_code == 3
    killed = start(runtime, make_spec())
    kill(killed)
    wait_for_end(runtime, killed)
    assert runtime.inspect(killed).exit_code == 137


def test_only_an_installations_own_containers_are_listed(runtime, make_spec, instance):
    runs, other = start(runtime, make_spec()), runtime.create(make_spec(of="another"))
    idle = runtime.create(make_spec())
    listed = {each.id: each for each in runtime.containers(instance=instance)}
    assert set(listed) == {runs, idle}
    assert other not in listed
    assert listed[runs].status is ContainerStatus.RUNNING
    assert listed[idle].status is ContainerStatus.CREATED
    assert listed[runs].labels["trinity.instance"] == instance
    assert {(each.pid, each.exit_code) for each in listed.values()} == {(None, None)}


def test_a_container_without_a_server_has_no_connection(runtime, make_spec):
    spec = make_spec()
    with pytest.raises(AgentUnavailable):
        runtime.connect(runtime.create(spec), spec.run_directory)


def test_a_running_container_is_sampled(runtime, make_spec):
    runs = runtime.inspect(start(runtime, make_spec()))
    idle = runtime.inspect(runtime.create(make_spec()))
    usage = runtime.usage([runs, idle])
    assert set(usage) == {runs.id}
    assert usage[runs.id].cpu_seconds > 0
    assert usage[runs.id].memory_bytes > 0
    assert usage[runs.id].at > 0


def memory_limit(runtime, container_id):
    container = runtime.inspect(container_id)
    return runtime.usage([container])[container_id].memory_limit_bytes


def test_limits_of_a_running_container_go_up_and_down(runtime, make_spec):
    container_id = start(runtime, make_spec())
    pid = runtime.inspect(container_id).pid
    for mebibytes in (1024, 128, 512):
        runtime.update(container_id, Limits(mebibytes * 1024**2, 1.5))
        assert memory_limit(runtime, container_id) == mebibytes * 1024**2
    assert runtime.inspect(container_id).pid == pid


def test_limits_of_a_stopped_container_are_those_of_its_next_start(runtime, make_spec):
    spec = make_spec()
    container_id = runtime.create(spec)
    for mebibytes in (1024, 128):
        runtime.update(container_id, Limits(mebibytes * 1024**2, 1.5))
    start(runtime, spec)
    assert memory_limit(runtime, container_id) == 128 * 1024**2


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("start", Change.STARTED),
        ("stop", Change.STOPPED),
        ("kill", Change.STOPPED),
        ("remove", Change.REMOVED),
    ],
)
async def test_a_change_is_told_within_a_second(runtime, make_spec, instance, kill, what, change):
    other = await asyncio.to_thread(start, runtime, make_spec(of="another"))
    spec = make_spec()
    container_id = await asyncio.to_thread(runtime.create, spec)
    if what != "start":
        await asyncio.to_thread(start, runtime, spec)
    async with aclosing(runtime.events(instance=instance)) as events:
        assert await anext(events) is None
        await asyncio.to_thread(runtime.remove, other)
        verb = kill if what == "kill" else getattr(runtime, what)
        await asyncio.to_thread(verb, container_id)
        async with asyncio.timeout(1):
            async for event in events:
                assert event.container_id == container_id
                if event.change is change:
                    assert event.labels["trinity.instance"] == instance
                    return


async def read_log(runtime, container_id, *, since_ns=0, follow=False):
    found = []
    log = runtime.log(container_id, since_ns=since_ns, follow=follow)
    async with aclosing(log) as batches, asyncio.timeout(20):
        async for batch in batches:
            found += batch
    return found


def printed(entries, *, is_stderr=False):
    """What the container's own program wrote, without the words of its server."""
    lines = [entry.text.decode() for entry in entries if entry.is_stderr is is_stderr]
    return [line for line in lines if line.startswith(("out", "err\n"))]


@pytest.fixture
async def talked(runtime, make_spec):
    container_id = await asyncio.to_thread(start, runtime, make_spec(main=TALKING))
    await asyncio.to_thread(wait_for_end, runtime, container_id)
    return container_id


@pytest.mark.parametrize("follow", [True, False])
async def test_the_log_of_both_streams_can_be_read_when_all_is_over(runtime, talked, follow):
    entries = await read_log(runtime, talked, follow=follow)
    assert printed(entries) == ["out 1\n", "out 2\n", "out 3\n"]
    assert printed(entries, is_stderr=True) == ["err\n"]
    times = [entry.time_ns for entry in entries]
    assert times == sorted(times)


async def test_a_log_is_read_from_a_time_on_that_time_included(runtime, talked):
    entries = await read_log(runtime, talked)
    since_ns = next(entry.time_ns for entry in entries if entry.text == b"out 2\n")
    later = await read_log(runtime, talked, since_ns=since_ns)
    assert later == [entry for entry in entries if entry.time_ns >= since_ns]
    assert printed(later) == ["out 2\n", "out 3\n"]


async def test_a_log_is_followed_to_the_containers_end(runtime, make_spec):
    container_id = await asyncio.to_thread(start, runtime, make_spec(main=TALKING))
    entries = await read_log(runtime, container_id, follow=True)
    await asyncio.to_thread(wait_for_end, runtime, container_id)
    stored = await read_log(runtime, container_id)
    # A follow may lose the tail at the end, and nothing else.
    assert entries == stored[: len(entries)]
    assert printed(entries)


@pytest.fixture
def away(kind, containers, monkeypatch):
    """A runtime whose engine does not answer."""
    if kind == "fake":
        containers.away = True
        return containers
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return DockerRuntime()


# docker-py leaves the socket open on which nobody answered.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_without_an_engine_every_verb_says_so(away):
    for verb in (away.check, away.describe):
        with pytest.raises(EngineUnavailable):
            verb()
    for verb in (away.start, away.stop, away.remove, away.remove_volume, away.inspect):
        with pytest.raises(EngineUnavailable):
            verb(UNKNOWN)
    with pytest.raises(EngineUnavailable):
        away.rename(UNKNOWN, "name")
    with pytest.raises(EngineUnavailable):
        away.update(UNKNOWN, Limits(1024**3, 1))
    with pytest.raises(EngineUnavailable):
        away.containers(instance="x")
    with pytest.raises(EngineUnavailable):
        away.has_image(engines.IMAGE)
    gc.collect()


async def test_without_an_engine_every_follower_says_so(away):
    with pytest.raises(EngineUnavailable):
        await anext(away.events(instance="x"))
    with pytest.raises(EngineUnavailable):
        await read_log(away, UNKNOWN)


@pytest.fixture
def networks(runtime, instance):
    """Prepare networks; without a guard, which not every machine can give."""
    yield lambda network: runtime.prepare_network(network, instance=instance, unguarded=True)
    runtime.remove_networks(instance=instance)


@pytest.mark.parametrize("network", [Network.INTERNET, Network.PRIVATE])
def test_a_container_starts_with_a_network_that_was_prepared(runtime, networks, make_spec, network):
    assert networks(network) == networks(network)
    spec = replace(make_spec(), network=network)
    container_id = start(runtime, spec)
    runtime.remove(container_id)


def test_a_container_does_not_start_with_a_network_that_was_not(runtime, make_spec):
    container_id = runtime.create(replace(make_spec(), network=Network.INTERNET))
    with pytest.raises(StartFailed):
        runtime.start(container_id)


def test_a_network_in_use_stays_and_one_out_of_use_can_be_made_again(runtime, networks, make_spec):
    networks(Network.INTERNET)
    spec = replace(make_spec(), network=Network.INTERNET)
    container_id = start(runtime, spec)
    instance = spec.labels["trinity.instance"]
    with pytest.raises(EngineRefused):
        runtime.remove_networks(instance=instance)
    runtime.stop(container_id, grace_seconds=0)
    runtime.remove_networks(instance=instance)
    networks(Network.INTERNET)
    runtime.start(container_id)
    assert runtime.inspect(container_id).status is ContainerStatus.RUNNING
    runtime.remove(container_id)


async def test_a_container_that_is_held_back_prints_no_more_until_it_is_let_go(runtime, make_spec):
    talks = make_spec(main=f"while :; do echo out {'x' * 4000}; done")
    container_id = await asyncio.to_thread(start, runtime, talks)

    async def until(is_reached):
        before = -1
        async with asyncio.timeout(20):
            while not is_reached(before, now := len(await read_log(runtime, container_id))):
                before = now
                await asyncio.sleep(0.3)
        return now

    await until(lambda _before, now: now > 0)
    async with runtime.hold_back(container_id):
        held = await until(lambda before, now: now == before)
    await until(lambda _before, now: now > held)


async def test_what_does_not_exist_cannot_be_held_back(runtime):
    with pytest.raises(ContainerMissing):
        async with runtime.hold_back(UNKNOWN):
            pass


def test_volumes_are_as_large_as_the_files_in_them(runtime, make_spec):
    spec = make_spec(main="head -c 1000000 /dev/zero > large; ln -s /etc link; exec sleep 60")
    start(runtime, spec)

    def written():
        sizes = runtime.volume_sizes(prefix=spec.name)
        return sizes if sizes[spec.workspace_volume] >= 1_000_000 else None

    sizes = wait_until(written, seconds=20)
    assert set(sizes) == {spec.workspace_volume, spec.spool_volume}
    assert sizes[spec.workspace_volume] < 1_010_000
    assert runtime.volume_sizes(prefix="no-such-volume") == {}


def test_where_the_engine_keeps_its_data_can_be_seen_from_its_own_machine(runtime):
    assert runtime.disk().is_dir()
