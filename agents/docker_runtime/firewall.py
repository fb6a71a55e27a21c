"""Rules of this machine's packet filter: what the agents' bridges may reach.

They stand in the table *mangle*, which both families pass after address translation and before
the table *filter*. There Docker writes: it puts its own rules first at each start, and older
versions none at all for IPv6. What is dropped here nothing behind it can accept.
"""

import os
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from shutil import which
from threading import Lock

LOCK_SECONDS = "20"
COMMAND_SECONDS = 30
RESOLVERS = Path("/etc/resolv.conf")
# What Docker reads where the file above names nothing but systemd's resolver on loopback.
SYSTEMD_RESOLVERS = Path("/run/systemd/resolve/resolv.conf")
SYSTEMD_STUB = "127.0.0.53"
IPV6 = Path("/proc/net/if_inet6")
# Without it a packet from one port of a bridge to another passes no rule.
BRIDGED = Path("/proc/sys/net/bridge")


class RulesRefused(Exception):
    """The rules cannot be set here; the text says why."""


@dataclass(frozen=True, slots=True)
class Bridge:
    interface: str
    reaches_private: bool
    ipv6_subnet: str


@dataclass(frozen=True, slots=True)
class Family:
    """One version of the protocol, and what of it is no part of the internet."""

    command: str
    bridged: str
    private: tuple[str, ...]
    #: Where clouds answer for the machine, beside link-local; some lie in private networks.
    metadata: tuple[str, ...]
    special: tuple[str, ...]
    #: What the bridge itself needs of the host, as matches of a rule.
    needed: tuple[str, ...] = ()


IPV4_RULES = Family(
    command="iptables",
    bridged="bridge-nf-call-iptables",
    private=("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
    metadata=("100.100.100.200/32", "168.63.129.16/32"),
    # Everything that IANA's registry calls not globally reachable, with multicast.
    special=(
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ),
)
IPV6_RULES = Family(
    command="ip6tables",
    bridged="bridge-nf-call-ip6tables",
    private=("fc00::/7",),
    metadata=("fd00:ec2::254/128", "fd20:ce::254/128"),
    # All but 2000::/3, and of that what leads elsewhere: Teredo and the like, examples, 6to4.
    special=(
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    ),
    # What ARP is to IPv4: without it nobody finds the gateway.
    needed=(
        "-p ipv6-icmp --icmpv6-type neighbour-solicitation",
        "-p ipv6-icmp --icmpv6-type neighbour-advertisement",
    ),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Chains of ours in one of the kernel's tables, by the chain that jumps to each."""

    family: Family
    name: str
    chains: dict[str, str]
    rules: list[str]


# To read what there is takes a tenth of writing it anew. By instance: what this process has
# written, and how the kernel then spelt it.
_written: dict[str, tuple[list[Table], list[str]]] = {}
# One after the other: what is missing is read before it is written.
_lock = Lock()


def guard(instance: str, bridges: list[Bridge]) -> None:
    """Bring the rules into force, unless they are; a packet never finds half of them.

    Bridges are known by name and need not exist yet. Raises RulesRefused.
    """
    wanted = [_mangled(family, instance, bridges) for family in _families()]
    if routes_ipv6():
        wanted.append(_masqueraded(instance, bridges))
    with _lock:
        if _written.get(instance) != (wanted, _ours(instance)):
            for table in wanted:
                _write(table)
            _written[instance] = (wanted, _ours(instance))
    for family in _families():
        _see_bridged(family)


def routes_ipv6() -> bool:
    """Tell whether the host does; Docker would turn it on, and a router hears no other one."""
    setting = Path("/proc/sys/net/ipv6/conf/all/forwarding")
    return IPV6.exists() and setting.read_text().strip() == "1"


def translates(interface: str) -> bool:
    """Tell whether the engine gives what leaves this bridge an address of the host."""
    rules = _run("iptables-save", "-t", "nat").splitlines()
    return any(rule.endswith(f"! -o {interface} -j MASQUERADE") for rule in rules)


def remove(instance: str) -> None:
    """Take all that ``guard`` made away again."""
    with _lock:
        for family in _families():
            for name in ("mangle", "nat"):
                present = _run(f"{family.command}-save", "-t", name).splitlines()
                ours = _prefix(instance)
                rules = [rule.replace("-A ", "-D ", 1) for rule in present if f"-j {ours}-" in rule]
                chains = [line[1:].split()[0] for line in present if line.startswith(f":{ours}-")]
                rules += [f"-{verb} {chain}" for verb in "FX" for chain in chains]
                _restore(family, name, rules)
        _written.pop(instance, None)


def _prefix(instance: str) -> str:
    return f"TRINITY-{instance}"


def _ours(instance: str) -> list[str]:
    """What there is of ours, as the kernel has it: as it was written, or somebody touched it."""
    return [
        line
        for family in _families()
        for line in _run(f"{family.command}-save").splitlines()
        if _prefix(instance) in line
    ]


def _mangled(family: Family, instance: str, bridges: list[Bridge]) -> Table:
    forward, entry = f"{_prefix(instance)}-F", f"{_prefix(instance)}-I"
    rules = _forward_rules(family, forward, bridges) + _input_rules(family, entry, bridges)
    return Table(family, "mangle", {"FORWARD": forward, "INPUT": entry}, rules)


def _masqueraded(instance: str, bridges: list[Bridge]) -> Table:
    """Give what leaves by IPv6 the host's address, as Docker does with IPv4."""
    chain = f"{_prefix(instance)}-N"
    rules = [
        f"-A {chain} -s {bridge.ipv6_subnet} ! -o {bridge.interface} -j MASQUERADE"
        for bridge in bridges
    ]
    return Table(IPV6_RULES, "nat", {"POSTROUTING": chain}, rules)


def _write(table: Table) -> None:
    present = _run(f"{table.family.command}-save", "-t", table.name).splitlines()
    # Named like this, a chain is made, or emptied within the same transaction.
    rules = [f":{chain} - [0:0]" for chain in table.chains.values()]
    rules += table.rules
    for parent, chain in table.chains.items():
        if f"-A {parent} -j {chain}" not in present:
            rules.append(f"-I {parent} -j {chain}")
    _restore(table.family, table.name, rules)


def _forward_rules(family: Family, chain: str, bridges: list[Bridge]) -> list[str]:
    """What passes through the host: answers in; out, all but what is not the internet."""
    rules: list[str] = []
    for bridge in bridges:
        # First of all bridges: what leaves by one of them goes to an agent.
        to_agents = f"-A {chain} -o {bridge.interface}"
        rules.append(f"{to_agents} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
        rules.append(f"{to_agents} -j DROP")
    for bridge in bridges:
        from_agents = f"-A {chain} -i {bridge.interface}"
        rules += [f"{from_agents} {match} -j RETURN" for match in _resolving(family)]
        rules += [f"{from_agents} -d {network} -j DROP" for network in family.metadata]
        verdict = "RETURN" if bridge.reaches_private else "DROP"
        rules += [f"{from_agents} -d {network} -j {verdict}" for network in family.private]
        rules += [f"{from_agents} -d {network} -j DROP" for network in family.special]
    return rules


def _input_rules(family: Family, chain: str, bridges: list[Bridge]) -> list[str]:
    """What ends at the host, whichever of its addresses was meant."""
    allowed = [*family.needed, *_resolving(family)]
    rules: list[str] = []
    for bridge in bridges:
        rules += [f"-A {chain} -i {bridge.interface} {match} -j RETURN" for match in allowed]
        rules.append(f"-A {chain} -i {bridge.interface} -j DROP")
    return rules


def _resolving(family: Family) -> list[str]:
    """Matches of questions to the host's nameservers: Docker asks them in an agent's stead."""
    version = 6 if family is IPV6_RULES else 4
    return [
        f"-d {server} -p {protocol} --dport 53"
        for server in nameservers()
        if server.version == version
        for protocol in ("udp", "tcp")
    ]


def nameservers() -> list[IPv4Address | IPv6Address]:
    """Those of the host that are asked over a network."""
    found = _named_in(RESOLVERS)
    if found == [ip_address(SYSTEMD_STUB)]:
        found = _named_in(SYSTEMD_RESOLVERS)
    return [server for server in found if not server.is_loopback]


def _named_in(file: Path) -> list[IPv4Address | IPv6Address]:
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for words in lines:
        # With a zone it is link-local, which no agent reaches.
        if words[:1] == ["nameserver"] and len(words) > 1 and "%" not in words[1]:
            try:
                found.append(ip_address(words[1]))
            except ValueError:
                continue
    return found


def _families() -> list[Family]:
    return [IPV4_RULES, IPV6_RULES] if IPV6.exists() else [IPV4_RULES]


def _see_bridged(family: Family) -> None:
    """Let the rules see what passes between two ports of a bridge."""
    setting = BRIDGED / family.bridged
    try:
        if setting.read_text().strip() != "1":
            setting.write_text("1")
    except OSError as error:
        # Absent until br_netfilter is loaded, which Docker does for the first such network.
        if setting.exists():
            raise RulesRefused(f"{setting} cannot be set: {error.strerror}") from error


def is_bridging_seen() -> bool:
    settings = [BRIDGED / family.bridged for family in _families()]
    return all(each.exists() and each.read_text().strip() == "1" for each in settings)


def _restore(family: Family, table: str, rules: list[str]) -> None:
    text = "\n".join([f"*{table}", *rules, "COMMIT", ""])
    _run(f"{family.command}-restore", "-w", LOCK_SECONDS, "--noflush", text=text)


def _run(name: str, *arguments: str, text: str = "") -> str:
    # Users other than root often have no /usr/sbin on their path.
    path = which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise RulesRefused(f"{name} is missing: install iptables")
    try:
        done = subprocess.run(  # noqa: S603  # the arguments are our own
            [path, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RulesRefused(f"{name} cannot be run: {error}") from error
    if done.returncode:
        words = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise RulesRefused(f"{name} failed: {words[0][:200]}")
    return done.stdout
