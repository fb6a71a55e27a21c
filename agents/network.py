"""Which network an agent gets: the one chosen for it, where that can be guarded.

An agent runs what a model wrote. So no network keeps it from the host and its neighbours by
good manners: rules do, and where they cannot be set there is no network, until an
administrator accepts that.
"""

import logging

from django.utils import timezone

from agents.models import Agent, Host
from agents.runtime import Network, get_runtime
from trinity.audit import Actor, recorded

logger = logging.getLogger(__name__)


def prepare(host: Host, network: Network = Network.INTERNET) -> None:
    """Bring the network and its rules into being, and record why where that is refused."""
    host.refresh_from_db(fields=["network_unguarded_since"])
    refusal = get_runtime().prepare_network(
        network,
        instance=host.instance,
        unguarded=host.network_unguarded_since is not None,
    )
    if host.record_network(refusal) and refusal:
        logger.warning("%s", host.network_notice)


def see_to(host: Host, *, retry: bool) -> None:
    """Look after it for the supervisor; what was refused is tried again when that is told."""
    host.refresh_from_db(fields=["network_refusal", "network_unguarded_since", "report_only_since"])
    if host.report_only_since is None and (retry or host.gives_network):
        prepare(host)


def prepare_for(agent: Agent) -> None:
    """What comes before a container of the agent is made or started.

    What was refused is tried again when the engine comes back, not at each start.
    """
    agent.host.refresh_from_db(fields=["network_refusal", "network_unguarded_since"])
    if (network := given_to(agent)) is not Network.NONE:
        prepare(agent.host, network)


def given_to(agent: Agent) -> Network:
    return Network(agent.network) if agent.host.gives_network else Network.NONE


def choose(agent: Agent, actor: Actor, network: Network) -> None:
    """Let the agent have another network from its next start on."""
    with recorded(actor, "change_network", "agent", agent.name, detail=network):
        agent.network = network.value
        agent.save(update_fields=["network"])


def accept_risk(host: Host, actor: Actor) -> None:
    """Let agents have networks without a guard, each from its next start on."""
    verb, why = "accept_unguarded_network", host.network_refusal
    with recorded(actor, verb, "host", host.name, detail=why):
        Host.objects.filter(pk=host.pk).update(network_unguarded_since=timezone.now())


def withdraw_risk(host: Host, actor: Actor) -> None:
    """Take that back; an agent that runs keeps its network until it is started anew."""
    with recorded(actor, "refuse_unguarded_network", "host", host.name):
        Host.objects.filter(pk=host.pk).update(network_unguarded_since=None)
