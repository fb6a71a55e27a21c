"""Networks of one installation's containers: a bridge for each kind, guarded by ``firewall``."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from agents.docker_runtime import firewall
from agents.docker_runtime.firewall import Bridge, RulesRefused
from agents.runtime import Network

BRIDGE_OPTION = "com.docker.network.bridge"
#: How docker-py spells an engine behind a unix socket.
LOCAL = "http+docker://localhost"


def name_of(network: Network, instance: str) -> str:
    """What the engine calls it; its ``none`` is ours."""
    match network:
        case Network.NONE:
            return "none"
        case Network.INTERNET:
            return f"trinity-{instance}"
        case Network.PRIVATE:
            return f"trinity-{instance}-private"


def prepare(api: Any, network: Network, *, instance: str, unguarded: bool) -> str:
    """Return why there is no guard, empty where there is one; see ``agents.runtime``.

    The rules come before the network. Where they turn out to be worth nothing it goes again.
    """
    refusal = _tried(lambda: _guard(api, instance))
    if not refusal or unguarded:
        with_ipv6 = not refusal and firewall.routes_ipv6()
        try:
            _make(api, network, instance, with_ipv6=with_ipv6)
        except APIError as error:
            if unguarded:
                raise
            return f"The container engine makes no network: {error.explanation}"
        refusal = refusal or _tried(lambda: _check(network, instance))
    if refusal and not unguarded:
        # Nothing can then be started with it. What runs with it keeps it until it ends.
        with suppress(APIError):
            remove(api, instance=instance)
    return refusal


def remove(api: Any, *, instance: str) -> None:
    for network in (Network.INTERNET, Network.PRIVATE):
        _remove(api, name_of(network, instance))
    _tried(lambda: firewall.remove(instance))


def attach_anew(api: Any, container_id: str, name: str) -> None:
    """Let a container know its network by the present one's number.

    The engine forgets a network that nobody uses at the moment when it is told to prune.
    """
    api.disconnect_container_from_network(container_id, name, force=True)
    api.connect_container_to_network(container_id, name)


def _bridges(instance: str) -> list[Bridge]:
    return [
        Bridge(_interface(network, instance), network is Network.PRIVATE, _ipv6(network, instance))
        for network in (Network.INTERNET, Network.PRIVATE)
    ]


def _interface(network: Network, instance: str) -> str:
    """At most the 15 characters that the kernel has room for."""
    return f"tr{network.value[0]}{instance}"


def _ipv6(network: Network, instance: str) -> str:
    """A subnet for use behind the host's own address (RFC 4193), the same each time."""
    subnet = 1 if network is Network.INTERNET else 2
    return f"fd{instance[:2]}:{instance[2:6]}:{instance[6:10]}:{subnet}::/64"


def _guard(api: Any, instance: str) -> None:
    if api.base_url != LOCAL:
        raise RulesRefused("The container engine is not reached through a socket of this machine")
    firewall.guard(instance, _bridges(instance))


def _tried(work: Callable[[], None]) -> str:
    try:
        work()
    except RulesRefused as error:
        return str(error)
    return ""


def _check(network: Network, instance: str) -> None:
    """Raise RulesRefused where the rules do not meet the bridge, or lead nowhere."""
    interface = _interface(network, instance)
    if interface not in {name for _, name in socket.if_nameindex()}:
        raise RulesRefused("The container engine has another network stack than Trinity")
    if not firewall.translates(interface):
        raise RulesRefused("The container engine sets no rules of its own (--iptables=false)")
    if not firewall.is_bridging_seen():
        raise RulesRefused("The kernel does not filter what passes a bridge (br_netfilter)")


def _make(api: Any, network: Network, instance: str, *, with_ipv6: bool) -> None:
    name = name_of(network, instance)
    if (found := _find(api, name)) is not None:
        if found["EnableIPv6"] == with_ipv6 or not _is_unused(found):
            return
        _remove(api, name)
    pools = [IPAMPool(subnet=_ipv6(network, instance))] if with_ipv6 else []
    try:
        api.create_network(
            name,
            driver="bridge",
            options={
                f"{BRIDGE_OPTION}.name": _interface(network, instance),
                f"{BRIDGE_OPTION}.enable_icc": "false",
            },
            ipam=IPAMConfig(pool_configs=pools) if pools else None,
            check_duplicate=True,
            labels={"trinity.instance": instance},
            enable_ipv6=with_ipv6,
        )
    except APIError:
        # Somebody else made it meanwhile.
        if _find(api, name) is None:
            raise


def _find(api: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.inspect_network(name)
    except NotFound:
        return None
    return found


def _is_unused(found: dict[str, Any]) -> bool:
    return not found["Containers"]


def _remove(api: Any, name: str) -> None:
    try:
        api.remove_network(name)
    except NotFound:
        return
