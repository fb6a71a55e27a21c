"""The other end: where the repository is, which branch is the agent's, who writes."""

import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from .wire import Refused

# It is written into a configuration file: nothing that ends a line or a quoted text.
_ADDRESS = re.compile(r"[A-Za-z0-9/][A-Za-z0-9._~%+:@/\[\]-]{0,299}")
_BRANCH = re.compile(r"[^\x00-\x20\x7f~^:?*\[\\-][^\x00-\x20\x7f~^:?*\[\\]{0,199}")
_TRANSPORTS = {"https", "ssh", "http", "file"}
_SHORT_SSH = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:]+")


@dataclass(frozen=True, slots=True)
class Remote:
    url: str
    branch: str
    transports: tuple[str, ...]
    #: Who made the commits, as git shows it.
    author: str

    @classmethod
    def parse(cls, request: dict[str, Any]) -> Self:
        url, branch = request.get("url"), request.get("branch")
        if not isinstance(url, str) or not _ADDRESS.fullmatch(url):
            raise Refused("bad_request", "url must be the address of a repository")
        if not isinstance(branch, str) or not _BRANCH.fullmatch(branch) or ".." in branch:
            raise Refused("bad_request", "branch must be the name of a branch")
        transports = request.get("transports")
        if not isinstance(transports, list) or not set(map(str, transports)) <= _TRANSPORTS:
            raise Refused("bad_request", "transports must be those that git may use")
        remote = cls(url, branch, tuple(transports), _name(request.get("author")))
        if remote.transport not in remote.transports:
            raise Refused("bad_request", f"transport {remote.transport!r} is not allowed")
        return remote

    @property
    def transport(self) -> str:
        if _SHORT_SSH.fullmatch(self.url):
            return "ssh"
        return urlsplit(self.url).scheme

    @property
    def origin(self) -> str:
        """Scheme, host and port: what credentials are for."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        return (urlsplit(self.url).hostname or "").lower()


def _name(author: object) -> str:
    # What git itself would strip from a name.
    name = re.sub(r"[\x00-\x1f<>]", "", author) if isinstance(author, str) else ""
    return name[:100].strip(" .,:;\"'\\") or "agent"
