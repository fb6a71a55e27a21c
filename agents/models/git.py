"""Where an agent's work is kept."""

from django.db import models

from agents.models.uids import new_uid


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

    def __str__(self) -> str:
        return f"{self.repository} {self.working_branch}"
