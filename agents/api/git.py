"""An agent's git repository over REST: configuration, status, log, sync, pull."""

from typing import Any

from django.urls import path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agents import access
from agents.answers.git import (
    GitConfigObject,
    GitLog,
    GitPull,
    GitStatus,
    GitStopped,
    GitSync,
    NoGit,
)
from agents.models import Agent, GitConfig
from agents.workspace import git
from trinity.answers import answers
from trinity.api import ApiView, json_time, takes
from trinity.identity import actor_of, user_of
from trinity.shapes import Body, Flag, Text, texts

REFUSAL = "Only owners can do this to an agent's repository"
NOT_CONFIGURED: NoGit = {
    "git_enabled": False,
    "message": "Git is not configured for this agent",
}


class ConfigShape(serializers.Serializer[Any]):
    github_repo = Text(max_length=255)
    working_branch = Text(required=False, allow_null=True, max_length=200)
    sync_enabled = Flag(required=False)


class ConfigView(ApiView):
    @answers(GitConfigObject | NoGit)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        return Response(_config(agent.git) if hasattr(agent, "git") else NOT_CONFIGURED)

    @answers(GitConfigObject, 400)
    @takes(ConfigShape)
    def put(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(user_of(request), name, refusal=REFUSAL)
        wanted = {"repository": body.pop("github_repo"), **body}
        return Response(_config(git.configure(agent, actor_of(request), **wanted)))


class StatusView(ApiView):
    @answers(GitStatus | GitStopped | NoGit, 400, 409)
    def get(self, request: Request, name: str) -> Response:
        agent = access.visible_agent(user_of(request), name)
        if not hasattr(agent, "git"):
            return Response(NOT_CONFIGURED)
        if agent.status != Agent.Status.RUNNING:
            return Response(_stopped(agent.git))
        return Response(git.status(agent))


def _stopped(config: GitConfig) -> GitStopped:
    return {
        "git_enabled": True,
        "agent_running": False,
        "message": "Agent is not running: start it to see its state",
        "config": _config(config),
    }


class LogShape(serializers.Serializer[Any]):
    limit = serializers.IntegerField(required=False, default=10, min_value=1, max_value=1000)


class LogView(ApiView):
    @answers(GitLog, 400, 409, query=LogShape)
    def get(self, request: Request, name: str) -> Response:
        query = self.query(LogShape)
        agent = access.visible_agent(user_of(request), name)
        commits = git.log(agent, query["limit"])
        told: GitLog = {"commits": commits, "count": len(commits)}
        return Response(told)


class SyncShape(serializers.Serializer[Any]):
    message = Text(required=False, default="", max_length=5000)
    paths = texts(required=False, allow_null=True, max_length=1000)


class SyncView(ApiView):
    @answers(GitSync, 400, 409)
    @takes(SyncShape)
    def post(self, request: Request, body: Body, name: str) -> Response:
        agent = access.owned_agent(user_of(request), name, refusal=REFUSAL)
        return Response(git.sync(agent, actor_of(request), **body))


class NoFields(serializers.Serializer[Any]):
    """Nothing is asked for; what is sent must still be an object."""


class PullView(ApiView):
    @answers(GitPull, 400, 409)
    @takes(NoFields)
    def post(self, request: Request, _body: Body, name: str) -> Response:
        agent = access.owned_agent(user_of(request), name, refusal=REFUSAL)
        return Response(git.pull(agent, actor_of(request)))


def _config(config: GitConfig) -> GitConfigObject:
    return {
        "git_enabled": True,
        "github_repo": config.repository,
        "working_branch": config.working_branch,
        "instance_id": config.instance_id,
        "created_at": json_time(config.created_at),
        "last_sync_at": json_time(config.last_sync_at) if config.last_sync_at else None,
        "last_commit_sha": config.last_commit_sha or None,
        "sync_enabled": config.sync_enabled,
    }


urlpatterns = [
    path("api/agents/<str:name>/git/config", ConfigView.as_view()),
    path("api/agents/<str:name>/git/status", StatusView.as_view()),
    path("api/agents/<str:name>/git/log", LogView.as_view()),
    path("api/agents/<str:name>/git/sync", SyncView.as_view()),
    path("api/agents/<str:name>/git/pull", PullView.as_view()),
]
