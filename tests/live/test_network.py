"""What an agent reaches, tried from inside, on a pretended machine with a world around it."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from shutil import which

import pytest

from tests import engines, machines
from tests.live.conftest import running
from tests.machines import HOST_ADDRESSES, METADATA, NAMESERVER, PORT, PRIVATE, PUBLIC, SPECIAL
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

TOOLS = ("ip", "iptables", "ip6tables", "nsenter", "unshare", "setpriv", "dockerd")
LISTENER = machines.LISTENER.read_text()

# Tries each address by TCP, then by UDP; prints those that answered.
PROBE = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
mark, addresses = sys.argv[1], sys.argv[2:]

def attempt(address):
    try:
        socket.create_connection((address, {PORT}), timeout=3).close()
    except OSError:
        pass
    else:
        return address

with ThreadPoolExecutor(64) as pool:
    reached = [address for address in pool.map(attempt, addresses) if address]
for address in addresses:
    try:
        family, kind, _, _, target = socket.getaddrinfo(address, {PORT}, type=socket.SOCK_DGRAM)[0]
        socket.socket(family, kind).sendto(f"{{mark}} {{address}}".encode(), target)
    except OSError:
        pass
print(json.dumps(reached))
"""
OWN_ADDRESSES = """
import ipaddress, json, socket, struct, fcntl
with socket.socket() as s:
    packed = fcntl.ioctl(s, 0x8915, struct.pack("256s", b"eth0"))[20:24]
found = [socket.inet_ntoa(packed)]
for line in open("/proc/net/if_inet6"):
    number, *_, card = line.split()
    address = ipaddress.ip_address(int(number, 16))
    if card == "eth0":
        found.append(f"{address}%eth0" if address.is_link_local else str(address))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def machine():
    lacking = [tool for tool in TOOLS if which(tool) is None]
    if lacking or not engines.is_root():
        reason = f"a machine cannot be pretended here: {lacking or 'only root may'}"
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", reason
        pytest.skip(reason)
    with machines.machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def engine(machine):
    with engines.private_engine(wrapper=machine.wrapper, options=()) as engine:
        yield engine


@pytest.fixture(scope="module")
def product(machine, engine):
    """With a neighbour that listens at all of its addresses."""
    with (
        machines.entered(machine.name),
        running(engine=engine.url, wrapper=machine.wrapper) as product,
    ):
        product.create_agent("explorer")
        product.create_agent("neighbour")
        product.run("neighbour", "python3", "-c", LISTENER, str(PORT), "/tmp/heard")
        yield product


@pytest.fixture(scope="module")
def neighbours(product):
    """Where the neighbour listens, seen by itself."""
    addresses = told(product, "neighbour", OWN_ADDRESSES)
    assert len(addresses) == 3, addresses
    wait_until(lambda: tcp(product, "neighbour", addresses) == set(addresses))
    return addresses


@pytest.fixture(scope="module")
def bridges(product, machine, private):
    """What the gateways of the two networks are called, as seen from a container."""
    found = machine.bridges(product.instance)
    assert set(found) == {"tri", "trp"}
    return {
        name: {f"{each}%eth0" if each.startswith("fe80") else each for each in addresses}
        for name, addresses in found.items()
    }


@pytest.fixture(scope="module")
def hosts(bridges):
    """All addresses of the host: its own, the gateways', and link-local ones."""
    return [*HOST_ADDRESSES, *sorted(set().union(*bridges.values()))]


def told(product, agent, program, *arguments):
    """Run a program in an agent and read what it prints."""
    ended = product.finished(product.run(agent, "python3", "-c", program, *arguments))
    assert ended["status"] == "succeeded", ended
    return json.loads(ended["result"]["logs"][-1])


def tcp(product, agent, addresses):
    return set(told(product, agent, PROBE, "unheard", *addresses))


def reached(product, machine, agent, addresses):
    """Those that answered by TCP, and those that got a datagram."""
    mark = f"{agent}-{os.urandom(4).hex()}"
    by_tcp = set(told(product, agent, PROBE, mark, *addresses, PUBLIC[0]))
    # Sent last, it tells that all before it have arrived or never will.
    wait_until(lambda: f"{mark} {PUBLIC[0]}" in machine.heard())
    heard = machine.heard() | heard_by(product, "neighbour")
    by_udp = {line.split()[1] for line in heard if line.startswith(f"{mark} ")}
    return (by_tcp | by_udp) - {PUBLIC[0]}


def heard_by(product, agent):
    ended = product.finished(product.run(agent, "cat", "/tmp/heard"))
    return set(ended["result"]["logs"])


def choose(product, agent, network):
    """As the admin does, with the start that makes it count."""
    code = (
        "from agents import network; from agents.models import Agent; "
        "from agents.runtime import Network; from trinity.audit import SYSTEM; "
        f"network.choose(Agent.objects.get(name={agent!r}), SYSTEM, Network({network!r}))"
    )
    product.manage("shell", "-v0", "-c", code)
    restart(product, agent)


def restart(product, agent):
    product.post(f"/api/agents/{agent}/restart", {"timeout_seconds": 1}).raise_for_status()


@pytest.fixture(scope="module")
def private(product):
    product.create_agent("insider")
    choose(product, "insider", "private")
    return "insider"


def test_the_machine_itself_reaches_all_of_its_world(machine):
    everything = [*HOST_ADDRESSES, *PUBLIC, *PRIVATE, *METADATA, *SPECIAL, NAMESERVER]

    def reaches(address):
        with machines.entered(machine.name), socket.create_connection((address, PORT), timeout=5):
            return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reaches, everything))


def test_an_agent_reaches_the_internet(product, machine):
    assert tcp(product, "explorer", PUBLIC) == set(PUBLIC)
    assert reached(product, machine, "explorer", PUBLIC[1:]) == set(PUBLIC[1:])


def test_names_are_resolved_by_the_hosts_own_nameserver(product):
    ask = "import json, socket; print(json.dumps(socket.gethostbyname('agent.example')))"
    assert told(product, "explorer", ask) == PUBLIC[0]


@pytest.mark.parametrize("agent", ["explorer", "private"])
def test_no_agent_reaches_the_host_by_any_address(product, machine, hosts, agent, request):
    name = request.getfixturevalue(agent) if agent == "private" else agent
    assert reached(product, machine, name, hosts) == set()


@pytest.mark.parametrize("agent", ["explorer", "private"])
def test_no_agent_reaches_another(product, machine, neighbours, agent, request):
    name = request.getfixturevalue(agent) if agent == "private" else agent
    assert reached(product, machine, name, neighbours) == set()


def test_an_agent_reaches_no_private_network_and_no_metadata(product, machine):
    addresses = [*PRIVATE, *METADATA, *SPECIAL, NAMESERVER]
    assert reached(product, machine, "explorer", addresses) == set()


def test_one_for_private_networks_reaches_these_too_but_no_metadata(product, machine, private):
    assert tcp(product, private, PUBLIC) == set(PUBLIC)
    assert reached(product, machine, private, [*PRIVATE, NAMESERVER]) == {*PRIVATE, NAMESERVER}
    assert reached(product, machine, private, [*METADATA, *SPECIAL]) == set()


def test_one_without_a_network_has_no_card(product):
    look = "import json, socket; print(json.dumps([name for _, name in socket.if_nameindex()]))"
    product.create_agent("hermit")
    assert told(product, "hermit", look) == ["lo", "eth0"]
    choose(product, "hermit", "none")
    assert told(product, "hermit", look) == ["lo"]
    product.call("DELETE", "/api/agents/hermit")


def test_nobody_outside_reaches_an_agent(machine, neighbours):
    address = neighbours[0]
    for namespace in (machine.name, machine.world):
        with machines.entered(namespace), pytest.raises(OSError, match="timed out"):
            socket.create_connection((address, PORT), timeout=2)


def test_rules_that_somebody_removed_are_there_again_after_a_start(
    product, machine, bridges, neighbours
):
    # Without IPv4 of the neighbour, where Docker itself keeps agents apart, and without the
    # other network's gateway, whose link-local addresses nobody in this one sees.
    gateway = bridges["tri"]
    guarded = {*HOST_ADDRESSES, *gateway, *PRIVATE, *METADATA, *neighbours[1:]}

    def unguarded():
        """That this comes true shows that what holds an agent back is the rules."""
        for command in ("iptables", "ip6tables"):
            machine.run(command, "-t", "mangle", "-F")
        # The supervisor may have looked after them meanwhile, as it does every 30 s.
        return tcp(product, "explorer", guarded) == guarded

    wait_until(unguarded, seconds=60)
    restart(product, "explorer")
    assert tcp(product, "explorer", guarded) == set()


@pytest.fixture
def own_product(machine, engine, request):
    """One of the test's own; with the wrapper that the test names."""
    wrapper = [*machine.wrapper, *getattr(request, "param", ())]
    with machines.entered(machine.name), running(engine=engine.url, wrapper=wrapper) as product:
        yield product


def test_a_network_that_was_pruned_is_made_again(own_product, product, machine):
    foreign = "-A FORWARD -s 198.51.100.7/32 -j ACCEPT"
    machine.run("iptables", "-t", "mangle", *foreign.split())
    own_product.create_agent("pruned")
    assert own_product.instance in machine.run("iptables-save")
    own_product.post("/api/agents/pruned/stop", {"timeout_seconds": 1}).raise_for_status()
    own_product.manage("remove_networks")
    for command in ("iptables-save", "ip6tables-save"):
        assert own_product.instance not in machine.run(command)
        # Another installation's, and what is nobody's of us, stay.
        assert product.instance in machine.run(command)
    assert foreign in machine.run("iptables-save", "-t", "mangle")
    own_product.post("/api/agents/pruned/start", {}).raise_for_status()
    assert tcp(own_product, "pruned", [*PUBLIC, *PRIVATE]) == set(PUBLIC)


@pytest.mark.parametrize(
    "own_product", [["setpriv", "--bounding-set", "-net_admin"]], indirect=True
)
def test_where_rules_cannot_be_set_there_is_no_network_until_the_risk_is_accepted(own_product):
    own_product.create_agent("careful")
    look = "import json, socket; print(json.dumps([name for _, name in socket.if_nameindex()]))"
    assert told(own_product, "careful", look) == ["lo"]
    assert "cannot be guarded: iptables" in own_product.output()
    assert "cannot be guarded: iptables" in own_product.agent("careful")["network_notice"]
    code = (
        "from agents import network; from agents.models import Host; "
        "from trinity.audit import SYSTEM; network.accept_risk(Host.objects.local(), SYSTEM)"
    )
    own_product.manage("shell", "-v0", "-c", code)
    restart(own_product, "careful")
    assert told(own_product, "careful", look) == ["lo", "eth0"]
    assert "unguarded" in own_product.agent("careful")["network_notice"]
