"""Which repositories and branches an agent may work with: addresses are checked, not asked.

A name is not resolved: what it resolves to may change before it is used. The rules of the
agent's network decide what can be reached; this refuses what is plainly meant for elsewhere.
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

from agents.errors import InvalidBranch, InvalidRepository

MAX_BRANCH = 200
# Neither quotes nor blanks nor a second "@": two readers of one address must not differ.
_URL = re.compile(
    r"(?P<transport>[a-z]+)://(?:(?P<user>[^/@]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"/(?P<path>[A-Za-z0-9._~%+/-]+)"
)
# As in git@example.org:team/work.git
_SHORT_SSH = re.compile(
    r"(?P<user>[A-Za-z0-9][A-Za-z0-9._-]*)@(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*)"
    r":(?P<path>[A-Za-z0-9._~+/-]+)"
)
_ON_GITHUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_-][A-Za-z0-9._-]*")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_BRANCHES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
# Names that mean this machine or its network, whatever resolves them.
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa")


@dataclass(frozen=True, slots=True)
class Repository:
    """An address that git may be given."""

    url: str
    transport: str
    host: str


def check_repository(text: str) -> Repository:
    """Return the repository; raise InvalidRepository with what would be right instead."""
    if _ON_GITHUB.fullmatch(text):
        text = f"https://github.com/{text}"
    if short := _SHORT_SSH.fullmatch(text):
        found, transport = short, "ssh"
    elif url := _URL.fullmatch(text):
        found, transport = url, url["transport"]
        _check_transport(transport, url["user"])
    else:
        raise InvalidRepository(_explain(text))
    host = found["host"].strip("[]").rstrip(".").lower()
    _check_host(host)
    return Repository(text, transport, host)


def _explain(text: str) -> str:
    if "@" in text and "://" in text:
        return "Credentials do not belong in the address: give the agent a GIT_TOKEN instead"
    return "Invalid repository: must be like https://host/path or ssh://git@host/path"


def _check_transport(transport: str, user: str | None) -> None:
    if transport not in settings.TRINITY_GIT_TRANSPORTS:
        allowed = " or ".join(settings.TRINITY_GIT_TRANSPORTS)
        raise InvalidRepository(f"Transport {transport!r} is not allowed: must be {allowed}")
    # The user of ssh is no secret, and there is no ssh without one.
    if user is not None and not (transport == "ssh" and _USER.fullmatch(user)):
        raise InvalidRepository(_explain("://@"))


def _check_host(host: str) -> None:
    if host in settings.TRINITY_GIT_ALLOWED_HOSTS:
        return
    address = _address(host)
    if address is not None:
        is_private = not address.is_global or address.is_multicast
    else:
        # One without a dot is completed by the network's own search list.
        is_private = "." not in host or host.endswith(tuple(f".{name}" for name in _LOCAL_NAMES))
    if is_private:
        raise InvalidRepository(
            f"{host} is on the host's own networks: an administrator can allow it "
            "in TRINITY_GIT_ALLOWED_HOSTS"
        )


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return _odd_address(host)
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _odd_address(host: str) -> IPv4Address | None:
    """As the C library reads 127.1, 0x7f000001 and 2130706433."""
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def check_branch(name: str) -> str:
    """Return the name if git takes it for a branch; raise InvalidBranch."""
    parts = name.split("/")
    is_bad = (
        not name
        or len(name) > MAX_BRANCH
        or name in {"@", "HEAD"}
        or name.startswith(("-", "refs/"))
        or name.endswith((".", "/"))
        or _NOT_IN_BRANCHES.search(name)
        or any(part.startswith(".") or part.endswith(".lock") for part in parts)
    )
    if is_bad or not parts[0]:
        raise InvalidBranch(f"Invalid branch {name[:60]!r}: must be like trinity/my-agent")
    return name


def branch_of(agent_name: str, instance_id: str) -> str:
    """The branch of an agent that was given none; no two agents have the same."""
    return f"trinity/{agent_name.replace('.', '-')}-{instance_id}"
