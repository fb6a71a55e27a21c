"""A container is created, started, paused, stopped and removed."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from agents.errors import AgentUnavailable, ContainerMissing, ImageMissing
from agents.runtime import ContainerStatus, Limits
from tests.contract.containers import UNKNOWN, start, wait_for_end


def test_an_image_that_is_missing_is_told(runtime, make_spec):
    missing = f"no-such-image-{uuid4().hex[:8]}:latest"
    with pytest.raises(ImageMissing):
        runtime.create(replace(make_spec(), image=missing))


def test_a_container_that_was_created_does_not_run(runtime, make_spec):
    spec = make_spec()
    container = runtime.inspect(runtime.create(spec))
    assert container.name == spec.name
    assert container.status is ContainerStatus.CREATED
    assert container.pid is None
    assert container.started_at is None
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


def test_a_paused_container_runs_says_so_and_can_be_stopped(runtime, make_spec, instance, behind):
    container_id = start(runtime, make_spec())

    def told():
        [listed] = runtime.containers(instance=instance)
        found = runtime.inspect(container_id)
        assert (found.status, found.is_paused) == (listed.status, listed.is_paused)
        return found.status, found.is_paused

    assert told() == (ContainerStatus.RUNNING, False)
    behind["pause"](container_id)
    assert told() == (ContainerStatus.RUNNING, True)
    behind["resume"](container_id)
    assert told() == (ContainerStatus.RUNNING, False)
    behind["pause"](container_id)
    runtime.stop(container_id, grace_seconds=5)
    assert told() == (ContainerStatus.EXITED, False)


def test_the_exit_code_is_told(runtime, make_spec, behind):
    failed = start(runtime, make_spec(main="exit 3"))
    wait_for_end(runtime, failed)
    assert runtime.inspect(failed).exit_code == 3
    killed = start(runtime, make_spec())
    behind["kill"](killed)
    wait_for_end(runtime, killed)
    assert runtime.inspect(killed).exit_code == 137


def test_when_it_ended_last_is_told_also_after_the_next_start(runtime, make_spec):
    before = datetime.now(UTC).replace(microsecond=0)
    container = start(runtime, make_spec())
    assert runtime.inspect(container).finished_at is None
    runtime.stop(container, grace_seconds=0)
    ended = runtime.inspect(container).finished_at
    assert before <= ended <= datetime.now(UTC)
    runtime.start(container)
    assert runtime.inspect(container).finished_at == ended


def test_of_an_unknown_container_only_stop_and_remove_say_nothing(runtime):
    runtime.stop(UNKNOWN)
    runtime.remove(UNKNOWN)
    for verb in (runtime.start, runtime.inspect):
        with pytest.raises(ContainerMissing):
            verb(UNKNOWN)
    with pytest.raises(ContainerMissing):
        runtime.update(UNKNOWN, Limits(1024**3, 1))


def test_a_container_without_a_server_has_no_connection(runtime, make_spec):
    spec = make_spec()
    with pytest.raises(AgentUnavailable):
        runtime.connect(runtime.create(spec), spec.run_directory)
