"""The rules that guard agents' networks, as they are given to the packet filter."""

from ipaddress import ip_address, ip_network

import pytest

from agents.docker_runtime import firewall, networks
from agents.docker_runtime.firewall import IPV4_RULES, IPV6_RULES
from agents.runtime import Network

INSTANCE = "0123456789ab"


@pytest.fixture
def resolvers(tmp_path, monkeypatch):
    """Write what names the host's nameservers; systemd's own file beside it."""
    monkeypatch.setattr(firewall, "RESOLVERS", tmp_path / "resolv.conf")
    monkeypatch.setattr(firewall, "SYSTEMD_RESOLVERS", tmp_path / "systemd")
    (tmp_path / "systemd").write_text("nameserver 192.168.1.1\n")
    return (tmp_path / "resolv.conf").write_text


def dropped(family):
    return [ip_network(each) for each in (*family.private, *family.metadata, *family.special)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search lan\nnameserver 10.0.0.1\nnameserver 8.8.8.8\n", ["10.0.0.1", "8.8.8.8"]),
        ("nameserver 127.0.0.53\noptions edns0\n", ["192.168.1.1"]),
        ("nameserver 127.0.0.1\n", []),
        ("nameserver fe80::1%eth0\nnameserver fd00::1\n", ["fd00::1"]),
        ("# nameserver 10.0.0.1\nnameserver\nnameserver host\n", []),
    ],
)
def test_the_hosts_nameservers_are_those_that_docker_asks(resolvers, text, expected):
    resolvers(text)
    assert firewall.nameservers() == [ip_address(each) for each in expected]


def test_a_host_without_nameservers_has_none(resolvers):
    assert firewall.nameservers() == []


def test_an_address_passes_only_if_it_is_globally_reachable():
    for text in (
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.9.9",
        "240.1.1.1",
    ):
        assert any(ip_address(text) in network for network in dropped(IPV4_RULES)), text
    for text in ("::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"):
        assert any(ip_address(text) in network for network in dropped(IPV6_RULES)), text
    for text in ("1.1.1.1", "99.255.255.255", "172.32.0.1", "223.255.255.255"):
        assert not any(ip_address(text) in network for network in dropped(IPV4_RULES)), text
    for text in ("2606:4700::1111", "2a00:1450::1", "3ffe::1", "2001:4860:4860::8888"):
        assert not any(ip_address(text) in network for network in dropped(IPV6_RULES)), text


def test_names_fit_where_the_kernel_keeps_them():
    for bridge in networks._bridges(INSTANCE):
        assert len(bridge.interface) <= 15
    for table in (
        firewall._mangled(IPV4_RULES, INSTANCE, networks._bridges(INSTANCE)),
        firewall._masqueraded(INSTANCE, networks._bridges(INSTANCE)),
    ):
        assert all(len(chain) <= 28 for chain in table.chains.values())


def test_two_installations_share_no_name():
    others = "ba9876543210"
    for network in (Network.INTERNET, Network.PRIVATE):
        assert networks.name_of(network, INSTANCE) != networks.name_of(network, others)
    ours, theirs = networks._bridges(INSTANCE), networks._bridges(others)
    for value in ("interface", "ipv6_subnet"):
        names = {getattr(bridge, value) for bridge in (*ours, *theirs)}
        assert len(names) == 4
