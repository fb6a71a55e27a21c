"""Git."""

from typing import Literal, NotRequired, TypedDict

from trinity.answers import Time


class NoGit(TypedDict):
    git_enabled: Literal[False]
    message: str


class GitConfigObject(TypedDict):
    git_enabled: Literal[True]
    github_repo: str
    working_branch: str
    instance_id: str
    created_at: Time
    last_sync_at: Time | None
    last_commit_sha: str | None
    sync_enabled: bool


class GitStopped(TypedDict):
    git_enabled: Literal[True]
    agent_running: Literal[False]
    config: GitConfigObject
    message: str


class GitCommit(TypedDict):
    sha: str
    short_sha: str
    message: str
    author: str
    date: Time | None


class GitChange(TypedDict):
    status: str
    path: str


class GitStatus(TypedDict):
    """``behind`` is null where the other end could not be asked; ``message`` says why."""

    git_enabled: Literal[True]
    branch: str | None
    remote_url: str
    last_commit: GitCommit | None
    changes: list[GitChange]
    changes_count: int
    ahead: int
    behind: int | None
    sync_status: Literal["up_to_date", "pending_sync"]
    message: NotRequired[str]


class GitLog(TypedDict):
    commits: list[GitCommit]
    count: int


class GitSync(TypedDict):
    success: bool
    commit_sha: str | None
    files_changed: int
    branch: str
    message: str
    sync_time: Time | None


class GitPull(TypedDict):
    success: bool
    message: str
    output: str
