"""Works on a repository without reading its configuration.

A repository's own ``.git/config`` and hooks can run any program. Here git gets a directory of
ours, made for each use: references, objects and index are the repository's by links,
configuration, hooks and attributes are not. Whoever writes the files while git runs is not
kept out by this: he is the same user of the same container, and can run what he likes.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from . import git_changes as changes
from . import git_process as process
from .git_process import GitFailed, Result
from .git_remote import Remote
from .processes import Reaper
from .wire import Refused

LOCAL_SECONDS = 30
BASE_REF = "refs/trinity/base"

_SHARED = ("objects", "refs", "packed-refs", "logs", "shallow")
_HEAD = re.compile(r"ref: (refs/heads/[^\x00-\x20\x7f]+)|[0-9a-f]{40}")
_UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "GIT_SSL_CAINFO")
_SSH = (
    "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=10 "
    "-o ClearAllForwardings=yes -o PermitLocalCommand=no"
)
_CONFIGURATION = """\
[core]
    repositoryFormatVersion = 0
    bare = false
    fileMode = true
    logAllRefUpdates = true
    hooksPath = /dev/null
    attributesFile = /dev/null
    fsmonitor = false
    excludesFile = "{folder}/exclude"
[gc]
    auto = 0
[maintenance]
    auto = false
[commit]
    gpgSign = false
[diff]
    ignoreSubmodules = all
[submodule]
    recurse = false
[fetch]
    recurseSubmodules = false
    writeCommitGraph = false
[http]
    followRedirects = false
    lowSpeedLimit = 100
    lowSpeedTime = 20
[remote "origin"]
    url = "{url}"
    fetch = +refs/heads/*:refs/remotes/origin/*
"""
# Only the name of the variable is written; the token itself stays in git's environment.
_CREDENTIALS = r"""
[credential "{origin}"]
    helper = "!f() {{ printf 'username=%s\\npassword=%s\\n' \
\"$TRINITY_GIT_USER\" \"$TRINITY_GIT_TOKEN\"; }}; f"
"""


class View:
    """Git on one work tree, for one use; a context manager."""

    def __init__(
        self, tree: Path, remote: Remote, reaper: Reaper, environment: dict[str, str]
    ) -> None:
        self.tree = tree
        self.remote = remote
        self._reaper = reaper
        self._given = environment
        self._token = _token(remote, environment)
        self._folder = Path()
        self.branch: str | None = None

    def __enter__(self) -> Self:
        head = read_head(self.tree)
        self.branch = head[1].removeprefix("refs/heads/") if head[1] else None
        self._folder = Path(tempfile.mkdtemp(prefix="trinity-git-"))
        (self._folder / "HEAD").write_text(f"{head[0]}\n")
        (self._folder / "exclude").write_text(changes.EXCLUDE_FILE)
        (self._folder / "config").write_text(self._configuration())
        for name in _SHARED:
            if name != "logs" or (self.tree / ".git" / name).is_dir():
                (self._folder / name).symlink_to(self.tree / ".git" / name)
        (self._folder / "info").mkdir()
        (self._folder / "info" / "exclude").symlink_to(self.tree / ".git" / "info" / "exclude")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def own_ref(self) -> str:
        """Where the agent's branch of the other end was when it was last seen."""
        return f"refs/remotes/origin/{self.remote.branch}"

    def check_settled(self) -> None:
        """Refuse in the middle of a merge or on no branch, where a commit would go wrong."""
        if any((self.tree / ".git" / name).exists() for name in _UNDER_WAY):
            raise Refused(
                "git_unsettled", "A merge or rebase is under way in the agent: end it there first"
            )
        if self.branch is None:
            raise Refused("git_unsettled", "The agent has no branch checked out: choose one there")

    async def git(
        self, *arguments: str, seconds: float = LOCAL_SECONDS, paths: list[bytes] | None = None
    ) -> Result:
        """Run git and return how it ended; ``paths`` are given to it literally."""
        options, listed = [], None
        if paths is not None:
            listed = self._folder / "paths"
            listed.write_bytes(b"\0".join(paths))
            options = ["--pathspec-from-file=-", "--pathspec-file-nul"]
        return await process.run(
            ["git", *arguments, *options],
            self._environment(),
            self._reaper,
            directory=self.tree,
            seconds=seconds,
            stdin=listed,
        )

    async def do(
        self, *arguments: str, seconds: float = LOCAL_SECONDS, paths: list[bytes] | None = None
    ) -> bytes:
        """Run git and return what it printed; raise GitFailed with its words."""
        result = await self.git(*arguments, seconds=seconds, paths=paths)
        if result.code != 0:
            raise self.failure(arguments[0], result)
        return result.out

    def failure(self, command: str, result: Result) -> GitFailed:
        said = self.without_token(result.errors or result.out.decode(errors="replace"))
        # The last lines say what went wrong; those before it, how far it came.
        lines = [line for line in said.splitlines() if line.strip()][-3:]
        return GitFailed(f"git {command}: {' '.join(lines)[-250:]}", output=said[-4000:])

    def without_token(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text

    def _configuration(self) -> str:
        text = _CONFIGURATION.format(folder=self._folder, url=self.remote.url)
        return text + (_CREDENTIALS.format(origin=self.remote.origin) if self._token else "")

    def _environment(self) -> dict[str, str]:
        author = self.remote.author
        email = f"{re.sub('[^A-Za-z0-9._-]', '-', author)}@agents.trinity.invalid"
        environment = {name: self._given[name] for name in _PROXIES if name in self._given}
        environment |= {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._folder),
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self._folder),
            "GIT_WORK_TREE": str(self.tree),
            "GIT_INDEX_FILE": str(self.tree / ".git" / "index"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(self.remote.transports),
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_SSH_COMMAND": _SSH,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_EDITOR": "false",
            "GIT_AUTHOR_NAME": author,
            "GIT_COMMITTER_NAME": author,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_EMAIL": email,
        }
        if self._token:
            environment["TRINITY_GIT_USER"] = self._given.get("GIT_USERNAME", "x-access-token")
            environment["TRINITY_GIT_TOKEN"] = self._token
        return environment


def _token(remote: Remote, environment: dict[str, str]) -> str:
    """What the agent's environment holds for this host; GitHub's is for GitHub alone."""
    if remote.transport not in {"https", "http"}:
        return ""
    token = environment.get("GIT_TOKEN", "")
    if not token and remote.host == "github.com":
        token = environment.get("GITHUB_TOKEN", "")
    return "" if "\n" in token else token


def is_cloned(tree: Path) -> bool:
    return os.path.lexists(tree / ".git")


def read_head(tree: Path) -> tuple[str, str | None]:
    """Return what HEAD says and the branch it names; refuse what is no plain repository."""
    git = tree / ".git"
    if tree.is_symlink() or git.is_symlink() or not (git / "objects").is_dir():
        raise Refused("git_failed", f"{tree} is no plain git repository")
    try:
        # Not to wait for whoever writes into it, should it be a pipe.
        descriptor = os.open(git / "HEAD", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            text = (file.read(1000) or b"").decode(errors="replace").strip()
    except OSError as error:
        raise Refused("git_failed", f"{git / 'HEAD'} cannot be read") from error
    found = _HEAD.fullmatch(text)
    if not found:
        raise Refused("git_failed", f"{git / 'HEAD'} names no branch")
    return text, found[1]
