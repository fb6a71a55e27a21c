"""An agent's git repository: how it is configured, and what the agent's server does with it.

Git itself runs in the agent's container. The host sends it what to do, and checks and bounds
what it says; see ``agents/image/agent_server/git.py``.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import activities, containers, control
from agents.answers.git import GitChange, GitCommit, GitPull, GitStatus, GitSync
from agents.errors import (
    AgentNotRunning,
    AgentPaused,
    AgentUnavailable,
    Busy,
    GitDiverged,
    GitFailed,
    GitNotConfigured,
    GitUnsettled,
    InvalidPath,
    SyncDisabled,
)
from agents.models import Activity, Agent, GitConfig
from agents.wire import AgentServer, Refused, granted, said
from agents.workspace.repositories import check_branch, check_repository
from trinity.api import json_time
from trinity.audit import Actor, recorded
from trinity.errors import TrinityError

# Each is above what the agent server gives itself for it.
STATUS_SECONDS = 50.0
LOG_SECONDS = 40.0
CHANGE_SECONDS = 200.0
# A watch that has nothing to tell for this long is begun anew.
QUIET_SECONDS = 3600.0

MAX_CHANGES = 1000
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFUSALS: dict[str, type[TrinityError]] = {
    "busy": Busy,
    "git_diverged": GitDiverged,
    "git_unsettled": GitUnsettled,
    "git_failed": GitFailed,
}

Told = dict[str, Any]


# Configuration


def config_of(agent: Agent) -> GitConfig:
    config = getattr(agent, "git", None)
    if not isinstance(config, GitConfig):
        raise GitNotConfigured
    return config


def configure(
    agent: Agent,
    actor: Actor,
    *,
    repository: str,
    working_branch: str | None = None,
    sync_enabled: bool | None = None,
) -> GitConfig:
    """Record where the agent's work goes; None leaves a branch or the switch as it is.

    Raises InvalidRepository and InvalidBranch. What is in the agent is not touched.
    """
    with recorded(actor, "git_config", "agent", agent.name, detail=repository):
        check_repository(repository)
        wanted: Told = {"repository": repository}
        if working_branch:
            wanted["working_branch"] = check_branch(working_branch)
        if sync_enabled is not None:
            wanted["sync_enabled"] = sync_enabled
        with transaction.atomic():
            # The agent's row is what two owners wait for, where there is no configuration yet.
            Agent.objects.select_for_update().get(pk=agent.pk)
            if not GitConfig.objects.filter(agent=agent).update(**wanted):
                config = GitConfig.objects.create_for(agent, repository)
                GitConfig.objects.filter(pk=config.pk).update(**wanted)
    return GitConfig.objects.get(agent=agent)


# What is asked of the agent's server


def status(agent: Agent) -> GitStatus:
    """Look at the work tree and at the other end."""
    config = config_of(agent)
    return _status(config, _ask(agent, "git.status", STATUS_SECONDS))


def log(agent: Agent, limit: int) -> list[GitCommit]:
    answer = _ask(agent, "git.log", LOG_SECONDS, limit=limit)
    return [_commit(each) for each in _list(answer, "commits")[:limit]]


def sync(
    agent: Agent, actor: Actor, *, message: str = "", paths: list[str] | None = None
) -> GitSync:
    """Commit what has changed, and bring the agent's branch and the other end's into line.

    ``paths`` are relative to the repository; None is all of it. Raises GitDiverged where both
    have what the other lacks: nothing is overwritten then.
    """
    wanted = {"message": message.strip() or f"Work of {agent.name}", "paths": paths}
    config = config_of(agent)
    with (
        recorded(actor, "git_sync", "agent", agent.name),
        activities.recorded(agent, Activity.Type.GIT_SYNC, actor) as activity,
    ):
        control.check(agent.host)
        if not config.sync_enabled:
            raise SyncDisabled
        _check_paths(paths or [])
        answer = _ask(agent, "git.sync", CHANGE_SECONDS, **wanted)
        sha, files = _sha(answer.get("commit_sha")), _number(answer, "files_changed")
        config.record_sync(sha or "", timezone.now())
        activity.details = {"commit_sha": sha, "files_changed": files}
    return {
        "success": True,
        "commit_sha": sha,
        "files_changed": files,
        "branch": said(answer.get("branch"), 300),
        "message": said(answer.get("message"), 300),
        "sync_time": json_time(config.last_sync_at) if config.last_sync_at else None,
    }


def _check_paths(paths: list[str]) -> None:
    for path in paths:
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise InvalidPath(f"{path[:60]!r} is not below the repository: name it relative to it")


def pull(agent: Agent, actor: Actor) -> GitPull:
    """Take over what the other end has beyond the agent; GitDiverged as with ``sync``."""
    with recorded(actor, "git_pull", "agent", agent.name):
        control.check(agent.host)
        answer = _ask(agent, "git.pull", CHANGE_SECONDS)
    output = said(answer.get("output"), 4000)
    return {"success": True, "message": said(answer.get("message"), 300), "output": output}


async def watch(agent: Agent) -> AsyncGenerator[GitStatus]:
    """Yield the state now and whenever it has become another, until the server goes away."""
    config, server = config_of(agent), containers.server_of(agent)
    request = _request(agent, config, "git.watch")
    async with server.conversation(**request) as (_, reader, _):
        while True:
            found = (await granted(reader, QUIET_SECONDS)).get("status")
            yield _status(config, found if isinstance(found, dict) else {})


def _ask(agent: Agent, verb: str, seconds: float, **fields: Any) -> Told:
    request = _request(agent, config_of(agent), verb)
    if agent.status != Agent.Status.RUNNING:
        raise AgentNotRunning("Agent is not running")
    if agent.is_paused:
        raise AgentPaused(agent.name)
    try:
        return asyncio.run(_answer(containers.server_of(agent), seconds, request | fields))
    except Refused as refusal:
        raise error_of(refusal) from refusal


async def _answer(server: AgentServer, seconds: float, request: Told) -> Told:
    async with server.conversation(seconds=seconds, **request) as (answer, _, _):
        return answer


def _request(agent: Agent, config: GitConfig, verb: str) -> Told:
    # Checked again: what is allowed may have changed since it was recorded.
    return {
        "verb": verb,
        "url": check_repository(config.repository).url,
        "branch": check_branch(config.working_branch),
        "transports": settings.TRINITY_GIT_TRANSPORTS,
        "author": agent.name,
    }


def error_of(refusal: Refused) -> TrinityError:
    if refusal.code == "unknown_verb":
        return AgentUnavailable(
            "The agent's container is older than this version of Trinity: an administrator can "
            "remove it with docker rm -f, and the agent's next start makes a new one"
        )
    return _REFUSALS.get(refusal.code, AgentUnavailable)(str(refusal))


# What it says, checked


def _status(config: GitConfig, answer: Told) -> GitStatus:
    commit, problem = answer.get("last_commit"), said(answer.get("problem") or "", 300)
    behind = None if answer.get("behind") is None else _number(answer, "behind")
    changes, ahead = _list(answer, "changes")[:MAX_CHANGES], _number(answer, "ahead")
    count = max(_number(answer, "changes_count"), len(changes))
    told: GitStatus = {
        "git_enabled": True,
        "branch": said(answer.get("branch") or "", 300) or None,
        "remote_url": config.repository,
        "last_commit": None if commit is None else _commit(commit),
        "changes": [_change(each) for each in changes],
        "changes_count": count,
        "ahead": ahead,
        # Null where the other end could not be asked; the message says why.
        "behind": behind,
        "sync_status": "up_to_date" if (count, ahead, behind) == (0, 0, 0) else "pending_sync",
    }
    if problem:
        told["message"] = problem
    return told


def _change(value: Any) -> GitChange:
    change = value if isinstance(value, dict) else {}
    return {"status": said(change.get("status"), 4), "path": said(change.get("path"), 4096)}


def _commit(value: Any) -> GitCommit:
    commit = value if isinstance(value, dict) else {}
    sha = _sha(commit.get("sha"))
    if sha is None:
        raise AgentUnavailable("The agent server told of a commit that is none")
    return {
        "sha": sha,
        "short_sha": said(commit.get("short_sha"), 64),
        "message": said(commit.get("message"), 300),
        "author": said(commit.get("author"), 100),
        "date": _date(commit.get("date")),
    }


def _sha(value: Any) -> str | None:
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


def _date(value: Any) -> str | None:
    try:
        return json_time(datetime.fromisoformat(str(value)).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _number(answer: Told, name: str) -> int:
    number = answer.get(name)
    if type(number) is not int or not 0 <= number < 2**31:
        raise AgentUnavailable(f"The agent server told no {name}")
    return number


def _list(answer: Told, name: str) -> list[Any]:
    found = answer.get(name)
    if not isinstance(found, list):
        raise AgentUnavailable(f"The agent server told no {name}")
    return found
