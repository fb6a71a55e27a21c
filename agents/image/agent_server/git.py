"""The verbs on the agent's repository: status, log, sync, pull, watch."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from . import git_changes as changes
from . import git_clone as clone
from . import git_exchange as exchange
from .git_changes import Change
from .git_exchange import Distance, Fetches
from .git_process import GitFailed
from .git_remote import Remote
from .git_view import BASE_REF, View, is_cloned
from .processes import Reaper
from .wire import Refused

FOLDER = "repo"
CHANGE_SECONDS = 180
MAX_COMMITS = 1000
MAX_CHANGES = 1000
# An answer is one line of at most a mebibyte, and a byte of a path may take six of it.
MAX_CHANGES_BYTES = 100_000
MAX_SUBJECT = 300
# How often it is looked whether something has moved, which starts no process.
GLANCE_SECONDS = 2.0
# How often the work tree is compared; and never for more than this share of the time.
COMPARE_SECONDS = 10.0
COMPARE_SHARE = 0.01
# How often a watch looks at the other end.
LOOK_AGAIN_SECONDS = 300.0

Answer = dict[str, Any]
Mark = tuple[int, int] | None


class Git:
    def __init__(
        self, workspace: Path, reaper: Reaper, environment: Callable[[], dict[str, str]]
    ) -> None:
        self.tree = workspace / FOLDER
        self._reaper = reaper
        self._environment = environment
        self._change = asyncio.Lock()
        self._fetches = Fetches()

    async def obey(self, request: Answer) -> Answer:
        try:
            return await self._obey(request, Remote.parse(request))
        except OSError as error:
            raise GitFailed(f"The repository cannot be worked on: {error.strerror}") from error

    async def _obey(self, request: Answer, remote: Remote) -> Answer:
        match request.get("verb"):
            case "git.status":
                return await self._status(remote)
            case "git.log":
                return await self._log(remote, request)
            case "git.sync":
                return await self._sync(remote, request)
            case "git.pull":
                return await self._pull(remote)
        raise Refused("unknown_verb", "there is no such verb")

    def _view(self, tree: Path, remote: Remote) -> View:
        return View(tree, remote, self._reaper, self._environment())

    # Reading

    async def _status(self, remote: Remote) -> Answer:
        if not is_cloned(self.tree):
            return _not_cloned(remote, "It is being cloned" if self._change.locked() else "")
        with self._view(self.tree, remote) as view:
            problem = await self._fetches.look(view)
            return await _describe(view, await _changes(view), problem)

    async def _log(self, remote: Remote, request: Answer) -> Answer:
        limit = request.get("limit")
        if type(limit) is not int or not 1 <= limit <= MAX_COMMITS:
            raise Refused("bad_request", f"limit must be a number from 1 to {MAX_COMMITS}")
        if not is_cloned(self.tree):
            return {"commits": []}
        with self._view(self.tree, remote) as view:
            return {"commits": await _commits(view, limit)}

    # Changing

    @asynccontextmanager
    async def _changing(self, seconds: float) -> AsyncIterator[None]:
        """One at a time: a second is refused, not queued."""
        if self._change.locked():
            raise Refused("busy", "Another sync, pull or clone is under way: try again later")
        async with self._change:
            try:
                async with asyncio.timeout(seconds):
                    yield
            except TimeoutError:
                raise GitFailed(f"It took longer than {seconds:g} s and was given up") from None

    async def _clone(self, remote: Remote) -> bool:
        if is_cloned(self.tree):
            return False
        await clone.clone(self.tree, remote, self._fetches, self._view)
        return True

    async def _pull(self, remote: Remote) -> Answer:
        async with self._changing(CHANGE_SECONDS):
            if await self._clone(remote):
                return {"message": "Cloned the repository", "output": ""}
            with self._view(self.tree, remote) as view:
                view.check_settled()
                await self._fetches.fetch(view)
                distance = await exchange.distance(view)
                output = await _catch_up(view, distance)
                return {"message": _pulled(distance), "output": output[-4000:]}

    async def _sync(self, remote: Remote, request: Answer) -> Answer:
        message, paths = _message(request), _paths(request)
        async with self._changing(CHANGE_SECONDS):
            await self._clone(remote)
            with self._view(self.tree, remote) as view:
                view.check_settled()
                await self._fetches.fetch(view)
                distance = await exchange.distance(view)
                chosen = changes.below(await _changes(view), paths)
                _check_conflicts(chosen)
                await _catch_up(view, distance)
                if chosen:
                    await _commit(view, message, chosen)
                if chosen or distance.ahead:
                    await self._push(view)
                return await _synced(view, chosen, distance)

    async def _push(self, view: View) -> None:
        try:
            await exchange.push(view)
        except GitFailed as error:
            await self._fetches.look(view)
            distance = await exchange.distance(view)
            if distance.is_diverged:
                raise _diverged(distance) from error
            raise GitFailed(
                f"Committed, but not pushed; the next sync tries again. {error}"
            ) from error

    # Following

    async def watch(self, remote: Remote) -> AsyncGenerator[Answer]:
        """Yield the state now and whenever it is another; clone where there is no copy yet."""
        problem, looked_at = "", -LOOK_AGAIN_SECONDS
        said: Answer | None = None
        seen: list[Mark] = []
        while True:
            if time.monotonic() - looked_at >= LOOK_AGAIN_SECONDS:
                looked_at = time.monotonic()
                problem = await self._look(remote)
            # Before it is compared: what moves meanwhile is seen at once.
            marks, began_at = self._marks(remote), time.monotonic()
            found = await self._compare(remote, problem, said if marks == seen else None)
            seen = marks
            cost = time.monotonic() - began_at
            if found != said:
                said = found
                yield found
            await self._pause(remote, marks, max(COMPARE_SECONDS, cost / COMPARE_SHARE))

    async def _look(self, remote: Remote) -> str:
        try:
            if not is_cloned(self.tree):
                async with self._changing(exchange.CLONE_SECONDS):
                    await self._clone(remote)
            with self._view(self.tree, remote) as view:
                return await self._fetches.look(view)
        except Refused as refusal:
            return str(refusal)
        except OSError as error:
            return f"The repository cannot be worked on: {error.strerror}"

    async def _compare(self, remote: Remote, problem: str, known: Answer | None) -> Answer:
        """Return the state; of one that is ``known`` only the work tree is looked at again."""
        try:
            if not is_cloned(self.tree):
                return _not_cloned(remote, problem)
            with self._view(self.tree, remote) as view:
                found = await _changes(view)
                if known and known["problem"] == self._fetches.problem:
                    return known | _tree(found)
                return await _describe(view, found, self._fetches.problem)
        except (Refused, OSError) as error:
            return _not_cloned(remote, str(error))

    async def _pause(self, remote: Remote, marks: list[Mark], seconds: float) -> None:
        """Wait, but no longer than until something was committed, staged or fetched."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._marks(remote) == marks:
            await asyncio.sleep(GLANCE_SECONDS)

    def _marks(self, remote: Remote) -> list[Mark]:
        git = self.tree / ".git"
        names = ["HEAD", "index", "packed-refs", "logs/HEAD", BASE_REF]
        names += [f"refs/remotes/origin/{remote.branch}", f"refs/heads/{remote.branch}"]
        return [_mark(git / name) for name in names]


def _mark(path: Path) -> Mark:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _not_cloned(remote: Remote, problem: str = "") -> Answer:
    return {
        "branch": remote.branch,
        "last_commit": None,
        "changes": [],
        "changes_count": 0,
        "ahead": 0,
        "behind": None,
        "problem": problem or "The repository is not cloned yet: a sync does that",
    }


async def _changes(view: View) -> list[Change]:
    options = ("--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    return changes.parse(await view.do("status", *options, "--ignore-submodules=all"))


async def _describe(view: View, found: list[Change], problem: str) -> Answer:
    distance, commits = await exchange.distance(view), await _commits(view, 1)
    return {
        "branch": view.branch,
        "last_commit": commits[0] if commits else None,
        **_tree(found),
        "ahead": distance.ahead,
        # Not known, rather than as it was when somebody last looked.
        "behind": None if problem else distance.behind,
        "problem": problem,
    }


def _tree(found: list[Change]) -> Answer:
    """All changes counted, and as many of them told as an answer takes."""
    shown, size = [], 0
    for change in found[:MAX_CHANGES]:
        size += len(change.path)
        if size > MAX_CHANGES_BYTES:
            break
        shown.append(change.shown)
    return {"changes": shown, "changes_count": len(found)}


async def _commits(view: View, limit: int) -> list[Answer]:
    form = "--format=%H%x1f%h%x1f%aI%x1f%an%x1f%s"
    result = await view.git("log", "-z", "--no-show-signature", f"--max-count={limit}", form, "--")
    if result.code != 0:
        if (await view.git("rev-parse", "--verify", "--quiet", "HEAD")).code != 0:
            return []
        raise view.failure("log", result)
    return [_commit_of(text) for text in result.out.decode(errors="replace").split("\0") if text]


def _commit_of(text: str) -> Answer:
    sha, short_sha, date, author, subject = (text.split("\x1f", 4) + [""] * 4)[:5]
    told = {"message": subject[:MAX_SUBJECT], "author": author[:100]}
    return {"sha": sha, "short_sha": short_sha, "date": date, **told}


async def _commit(view: View, message: str, chosen: list[Change]) -> None:
    if new := [change.path for change in chosen if change.is_new]:
        await view.do("add", paths=new, seconds=CHANGE_SECONDS)
    paths = [change.path for change in chosen]
    # Only these: what programs of the agent have staged besides stays as it is.
    options = ("--quiet", "--no-verify", "--no-gpg-sign", "--only", f"--message={message}")
    await view.do("commit", *options, paths=paths, seconds=CHANGE_SECONDS)


async def _catch_up(view: View, distance: Distance) -> str:
    """Take over what the other end has beyond us; refuse where both have something."""
    if distance.is_diverged:
        raise _diverged(distance)
    if not distance.behind:
        return ""
    options = ("--ff-only", "--no-stat", distance.upstream)
    result = await view.git("merge", *options, seconds=CHANGE_SECONDS)
    if result.code != 0:
        raise _in_the_way(distance, view.failure("merge", result))
    return view.without_token(result.out.decode(errors="replace"))


def _diverged(distance: Distance) -> Refused:
    return Refused(
        "git_diverged",
        f"The histories have diverged: {_count(distance.ahead, 'commit')} only here, "
        f"{_count(distance.behind, 'commit')} only there. Nothing was overwritten: merge them in "
        "the agent with git, or choose another working branch",
    )


def _in_the_way(distance: Distance, failure: GitFailed) -> Refused:
    if "overwritten by merge" not in failure.output:
        return failure
    return Refused(
        "git_diverged",
        f"{_count(distance.behind, 'commit')} of the repository change what has changed here "
        "too. Nothing was overwritten: commit and merge it in the agent with git",
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _pulled(distance: Distance) -> str:
    behind = _count(distance.behind, "commit")
    return f"Pulled {behind}" if distance.behind else "Already up to date"


async def _synced(view: View, chosen: list[Change], distance: Distance) -> Answer:
    commits = await _commits(view, 1)
    done = [f"took over {_count(distance.behind, 'commit')}"] if distance.behind else []
    done += [f"committed {_count(len(chosen), 'file')}"] if chosen else []
    done += ["pushed"] if chosen or distance.ahead else []
    return {
        "commit_sha": commits[0]["sha"] if commits else None,
        "files_changed": len(chosen),
        "branch": view.remote.branch,
        "message": ", ".join(done).capitalize() or "Nothing to sync",
    }


def _check_conflicts(chosen: list[Change]) -> None:
    if conflicts := [change for change in chosen if change.is_conflict]:
        name = conflicts[0].path.decode(errors="replace")
        raise Refused("git_unsettled", f"{name} has a conflict: resolve it in the agent first")


def _message(request: Answer) -> str:
    message = request.get("message")
    if not isinstance(message, str) or not message.strip() or "\0" in message:
        raise Refused("bad_request", "message must be a text")
    return message


def _paths(request: Answer) -> list[str]:
    paths = request.get("paths")
    if paths is None:
        return ["."]
    if not isinstance(paths, list) or not all(map(_is_path, paths)):
        raise Refused("bad_request", "paths must be below the repository, relative to it")
    return paths


def _is_path(path: object) -> bool:
    if not isinstance(path, str) or path.startswith("/") or re.search(r"\x00", path):
        return False
    return bool(path) and ".." not in path.split("/")
