"""Git repositories for tests: a bare one that agents share, and work on it by others."""

import os
import subprocess
from pathlib import Path

PERSON = {
    "GIT_AUTHOR_NAME": "ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder, *arguments):
    """Run git as a person would, with the repository's own configuration."""
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **PERSON},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, f"git {arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def write(folder, **files):
    for name, text in files.items():
        path = Path(folder) / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Shared:
    """A bare repository and the clone of a person who works on it."""

    def __init__(self, root):
        self.bare, self.theirs = root / "shared.git", root / "theirs"
        git(root, "init", "--bare", str(self.bare))
        git(root, "clone", str(self.bare), str(self.theirs))
        git(self.theirs, "checkout", "-b", "main")
        self.url = f"file://{self.bare}"

    def commit(self, branch="main", /, message="more", **files):
        """Push files to a branch; a new one begins at main."""
        git(self.theirs, "fetch", "--quiet", "origin")
        if git(self.theirs, "branch", "--remotes", "--list", f"origin/{branch}"):
            git(self.theirs, "checkout", "--quiet", "-B", branch, f"origin/{branch}")
        else:
            git(self.theirs, "checkout", "--quiet", "-B", branch)
        write(self.theirs, **files)
        git(self.theirs, "add", "--all")
        git(self.theirs, "commit", "--message", message)
        git(self.theirs, "push", "--quiet", "origin", f"HEAD:{branch}")
        return git(self.theirs, "rev-parse", "HEAD")

    def sha(self, branch):
        return git(self.bare, "rev-parse", branch)

    def files(self, branch):
        return git(self.bare, "ls-tree", "-r", "--name-only", branch).splitlines()

    def read(self, branch, path):
        return git(self.bare, "show", f"{branch}:{path}")

    def branches(self):
        return git(self.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()

    def fast_import(self, count, tree):
        """Add that many commits to main at once, all with long subjects."""
        parent = self.sha("main")
        for _ in range(count):
            parent = git(self.bare, "commit-tree", tree, "-p", parent, "-m", "é" * 400)
        git(self.bare, "update-ref", "refs/heads/main", parent)
