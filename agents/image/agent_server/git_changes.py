"""What the work tree holds that is not committed, and what of it may be."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

# Never committed, whatever the repository's own rules say, tracked or not.
SECRETS = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".ssh",
    ".gnupg",
    ".aws",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".pypirc",
    ".npmrc",
    ".mcp.json",
    "credentials.json",
)
EXAMPLES = (".env.example", ".env.sample", ".env.template")
# Left out unless the repository has them already.
RUNTIME = (".trinity", ".cache", "__pycache__", "*.pyc", "node_modules", ".venv", "*.swp")

EXCLUDE_FILE = "\n".join([*RUNTIME, *SECRETS, *(f"!{name}" for name in EXAMPLES), ""])
CONFLICTS = {"DD", "AU", "UD", "UA", "DU", "AA", "UU"}


@dataclass(frozen=True, slots=True)
class Change:
    """A path as the kernel has it, and git's two letters about it."""

    status: str
    path: bytes

    @property
    def is_conflict(self) -> bool:
        return self.status in CONFLICTS

    @property
    def is_new(self) -> bool:
        return self.status == "??"

    @property
    def shown(self) -> dict[str, str]:
        return {"status": self.status.strip(), "path": self.path.decode(errors="replace")}

    def is_below(self, path: bytes) -> bool:
        return path in {b".", self.path} or self.path.startswith(path + b"/")


def parse(output: bytes) -> list[Change]:
    """Read ``git status --porcelain -z``; only what a sync would commit is kept."""
    entries = (entry for entry in output.split(b"\0") if len(entry) > 3)
    changes = [Change(entry[:2].decode(errors="replace"), entry[3:]) for entry in entries]
    return [change for change in changes if _may_be_committed(change.path)]


def _may_be_committed(path: bytes) -> bool:
    # A folder is another repository inside of this one.
    return not path.endswith(b"/") and not is_secret(path)


def is_secret(path: bytes) -> bool:
    return any(map(_is_secret_name, path.decode(errors="replace").lower().split("/")))


def _is_secret_name(name: str) -> bool:
    return name not in EXAMPLES and any(fnmatchcase(name, pattern) for pattern in SECRETS)


def below(changes: list[Change], paths: Iterable[str]) -> list[Change]:
    """Those at or below any of the paths."""
    wanted = [path.encode(errors="surrogateescape").rstrip(b"/") for path in paths]
    return [change for change in changes if any(map(change.is_below, wanted))]
