"""Containers start only with networks that were prepared."""

from dataclasses import replace

import pytest

from agents.errors import EngineRefused, StartFailed
from agents.runtime import ContainerStatus, Network
from tests.contract.containers import start


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
