"""Containers are found again, and none is taken for another."""

from dataclasses import replace

import pytest

from agents.errors import StartFailed
from agents.runtime import ContainerStatus
from tests.contract.containers import start


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
