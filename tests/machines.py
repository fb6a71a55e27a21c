"""A pretended machine with a world around it, made of network namespaces.

Its addresses, packet filter and routing are its own, and go with it; nothing of the real
machine's network is touched. What shall run on it is started through ``wrapper``; a test
steps over with ``entered``.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until

PORT = 7007
LISTENER = Path(__file__).with_name("listener.py")
CLONE_NEWNET = 0x40000000

HOST_ADDRESSES = ("8.20.0.2", "10.20.0.2", "2600:20::2", "fd20:20::2")
PUBLIC = ("9.20.0.9", "2600:20:9::9")
NAMESERVER = "10.20.0.53"
PRIVATE = ("10.20.0.1", "172.31.20.1", "192.168.20.1", "100.64.20.1", "fd20:20:9::9")
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254")
SPECIAL = ("198.18.20.1", "203.0.113.20", "2001:db8:20::1", "2002:a14:1::1", "64:ff9b::a14:1")


class Machine:
    """``up`` before anything else; ``down`` takes all away, whatever has become of it."""

    def __init__(self):
        self.name = f"trinity-machine-{os.getpid()}"
        self.world = f"trinity-world-{os.getpid()}"
        self.folder = Path(tempfile.mkdtemp(prefix="trinity-machine-"))
        self.resolvers = self.folder / "resolv.conf"
        self.resolvers.write_text(f"nameserver {NAMESERVER}\n")
        self.listeners = []

    @property
    def wrapper(self):
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        enter = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount"]
        return [*enter, "sh", "-c", script, str(self.resolvers)]

    def up(self):
        for name in (self.name, self.world):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        cable = ("uplink", "netns", self.name, "type", "veth", "peer", "name", "world")
        _run("ip", "link", "add", *cable, "netns", self.world)
        own = ("8.20.0.2/24", "10.20.0.2/24", "2600:20::2/64", "fd20:20::2/64")
        self._address(self.name, "uplink", own)
        self._address(self.world, "world", ("8.20.0.1/24", "2600:20::1/64"))
        self._address(self.world, "lo", [*PUBLIC, NAMESERVER, *PRIVATE, *METADATA, *SPECIAL])
        for gateway in ("8.20.0.1", "2600:20::1"):
            _run("ip", "-n", self.name, "route", "add", "default", "via", gateway)
        # As on every machine that is at home in 10.20.0.0/24.
        _run("ip", "-n", self.world, "route", "add", "10.20.0.2/32", "via", "8.20.0.2")
        _run("ip", "-n", self.world, "route", "add", "fd20:20::2/128", "via", "2600:20::2")
        # Somebody outside who knows where Docker keeps its containers.
        _run("ip", "-n", self.world, "route", "add", "172.16.0.0/14", "via", "8.20.0.2")
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.run("sh", "-c", f"echo 1 >/proc/sys/net/{setting}")
        self._listen(self.name)
        self._listen(self.world, NAMESERVER, PUBLIC[0])

    @staticmethod
    def _address(namespace, card, addresses):
        _run("ip", "-n", namespace, "link", "set", card, "up")
        for address in addresses:
            # An address that waits to be found unique cannot be used yet.
            late = ["nodad"] if ":" in address else []
            _run("ip", "-n", namespace, "address", "add", address, "dev", card, *late)

    def _listen(self, namespace, *names):
        """Answer TCP and note datagrams at all addresses there are, and that will be."""
        heard = self.folder / f"heard-{namespace}"
        command = ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, LISTENER]
        process = subprocess.Popen([*command, str(PORT), str(heard), *names])
        self.listeners.append(process)
        wait_until(heard.exists, seconds=10)

    def heard(self):
        """What datagrams told, on the machine and in the world."""
        lines = [path.read_text().splitlines() for path in self.folder.glob("heard-*")]
        return {line for file in lines for line in file}

    def run(self, *command, check=True):
        return _run("nsenter", f"--net=/run/netns/{self.name}", *command, check=check)

    def bridges(self, instance):
        """The addresses of each bridge that an installation has on the machine, by its name."""
        cards = json.loads(self.run("ip", "-json", "address", "show"))
        return {
            card["ifname"].removesuffix(instance): [each["local"] for each in card["addr_info"]]
            for card in cards
            if card["ifname"].endswith(instance)
        }

    def down(self):
        for process in self.listeners:
            process.kill()
            process.wait()
        for name in (self.name, self.world):
            _run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def machine():
    made = Machine()
    try:
        made.up()
        yield made
    finally:
        made.down()


@contextmanager
def entered(namespace):
    """Let this thread's new sockets be those of the machine, or of the world."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(before)
        os.close(there)
        os.close(before)


def _enter(namespace):
    # os.setns comes with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
    return done.stdout
