"""Makes the working copy: whole at its place, or not there at all."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from .git_exchange import CLONE_SECONDS, Fetches, distance
from .git_remote import Remote
from .git_view import View
from .wire import Refused

_PREFIX = ".trinity-clone-"


async def clone(
    tree: Path, remote: Remote, fetches: Fetches, open_view: Callable[..., View]
) -> None:
    """Fetch into a folder beside the tree and move it there when it is whole."""
    if tree.is_symlink() or (tree.exists() and (not tree.is_dir() or any(tree.iterdir()))):
        raise Refused(
            "git_failed", f"{tree} is there and is no git repository: move it away to sync"
        )
    for left in tree.parent.glob(f"{_PREFIX}*"):
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
    made = tree.with_name(f"{_PREFIX}{secrets.token_hex(8)}")
    try:
        _begin(made, remote)
        with open_view(made, remote) as view:
            await fetches.fetch(view, seconds=CLONE_SECONDS)
            await _check_out(view)
        os.rename(made, tree)
    finally:
        await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)


def _begin(tree: Path, remote: Remote) -> None:
    """An empty repository, as programs in the agent find it; Trinity reads none of its settings."""
    git = tree / ".git"
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "logs"):
        (git / folder).mkdir(parents=True)
    (git / "HEAD").write_text(f"ref: refs/heads/{remote.branch}\n")
    (git / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
        f'[remote "origin"]\n\turl = "{remote.url}"\n'
        "\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        f'[branch "{remote.branch}"]\n\tremote = origin\n\tmerge = refs/heads/{remote.branch}\n'
    )


async def _check_out(view: View) -> None:
    upstream = (await distance(view)).upstream
    if upstream:
        await view.do("update-ref", "-m", "clone", f"refs/heads/{view.remote.branch}", upstream)
        await view.do("reset", "--quiet", "--hard", "HEAD", seconds=CLONE_SECONDS)
