"""What goes over the wire to and from the repository's other end."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from .git_process import GitFailed
from .git_remote import Remote
from .git_view import BASE_REF, View

LOOK_SECONDS = 10
WAIT_SECONDS = 2 * LOOK_SECONDS + 1
# What is there is a short answer: one that takes longer does not come.
LIST_SECONDS = 20
FETCH_SECONDS = 120
CLONE_SECONDS = 900
PUSH_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Distance:
    """Commits that only we have, and that only the other end has as it was last seen."""

    ahead: int
    behind: int
    #: The commit of the other end that this counts from; empty where it has none.
    upstream: str

    @property
    def is_diverged(self) -> bool:
        return self.ahead > 0 and self.behind > 0


class Fetches:
    """Fetches one after the other; those who come while one waits its turn share it."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._began_at = 0.0
        self._remote: Remote | None = None
        #: Why the last one failed; empty where it did not.
        self.problem = ""

    async def look(self, view: View) -> str:
        """Fetch, in the time that a question has; return why that failed, or nothing."""
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._one:
                if self._began_at < asked_at or self._remote != view.remote:
                    with suppress(GitFailed):
                        await self._fetch(view, LOOK_SECONDS)
                return self.problem
        except TimeoutError:
            return "The repository is still being fetched for somebody else"

    async def fetch(self, view: View, *, seconds: float = FETCH_SECONDS) -> None:
        """Fetch, in the time that a change has; raise GitFailed."""
        async with self._one:
            await self._fetch(view, seconds)

    async def _fetch(self, view: View, seconds: float) -> None:
        self._began_at, self._remote = time.monotonic(), view.remote
        try:
            async with asyncio.timeout(seconds):
                await _fetch(view)
        except TimeoutError:
            self.problem = f"The repository did not answer within {seconds:g} s"
            raise GitFailed(self.problem) from None
        except GitFailed as error:
            self.problem = str(error)
            raise
        self.problem = ""


async def _fetch(view: View) -> None:
    """Fetch the agent's own branch and the one that the repository begins with, if they moved."""
    own = f"refs/heads/{view.remote.branch}"
    listed = await view.do("ls-remote", "origin", "HEAD", own, seconds=LIST_SECONDS)
    there = {name: sha for sha, _, name in (line.partition("\t") for line in _lines(listed))}
    known = await references(view)
    moved = []
    for name, reference in (("HEAD", BASE_REF), (own, view.own_ref)):
        if name in there and there[name] != known.get(reference):
            moved.append(f"+{name}:{reference}")
        elif name not in there and reference in known:
            await view.do("update-ref", "-d", reference)
    if moved:
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        await view.do("fetch", *quiet, "origin", *moved, seconds=CLONE_SECONDS)


async def references(view: View) -> dict[str, str]:
    """Where our own branch and the two of the other end are, as far as they exist."""
    names = (f"refs/heads/{view.branch}", view.own_ref, BASE_REF)
    found = await view.do("for-each-ref", "--format=%(objectname)\t%(refname)", *names)
    return {name: sha for sha, _, name in (line.partition("\t") for line in _lines(found))}


async def distance(view: View) -> Distance:
    """Count from the agent's branch of the other end, or from where it would begin."""
    known = await references(view)
    upstream = known.get(view.own_ref) or known.get(BASE_REF, "")
    head = (await view.git("rev-parse", "--verify", "--quiet", "HEAD")).out.decode().strip()
    if head and upstream:
        counted = await view.do("rev-list", "--left-right", "--count", f"{head}...{upstream}")
        ahead, behind = map(int, counted.split())
        return Distance(ahead, behind, upstream)
    only = int(await view.do("rev-list", "--count", head or upstream)) if head or upstream else 0
    return Distance(only if head else 0, 0 if head else only, upstream)


async def push(view: View) -> None:
    """Push to the agent's own branch; the other end refuses what would lose commits there."""
    target = f"HEAD:refs/heads/{view.remote.branch}"
    options = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
    await view.do("push", *options, "origin", target, seconds=PUSH_SECONDS)


def _lines(output: bytes) -> list[str]:
    return output.decode(errors="replace").splitlines()
