"""Where an agent's work is kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models

from agents.models.uids import new_uid
from agents.workspace.repositories import branch_of

if TYPE_CHECKING:
    from agents.models.agents import Agent


class GitConfigManager(models.Manager["GitConfig"]):
    def create_for(self, agent: Agent, repository: str) -> GitConfig:
        """Give the agent a repository and a branch of its own there."""
        instance_id = new_uid()
        branch = branch_of(agent.name, instance_id)
        return self.create(
            agent=agent, repository=repository, working_branch=branch, instance_id=instance_id
        )


class GitConfig(models.Model):
    """The repository of an agent, the branch that is its own there, and how far it got."""

    agent = models.OneToOneField("agents.Agent", models.CASCADE, related_name="git")
    repository = models.CharField(max_length=255)
    working_branch = models.CharField(max_length=200)
    #: Tells this agent's branch from that of another of the same name.
    instance_id = models.CharField(max_length=12, default=new_uid, editable=False)
    sync_enabled = models.BooleanField(default=True)
    last_sync_at = models.DateTimeField(null=True, editable=False)
    last_commit_sha = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GitConfigManager()

    def record_sync(self, commit_sha: str, at: datetime) -> None:
        self.last_sync_at, self.last_commit_sha = at, commit_sha
        self.save(update_fields=["last_sync_at", "last_commit_sha"])

    def __str__(self) -> str:
        return f"{self.repository} {self.working_branch}"
