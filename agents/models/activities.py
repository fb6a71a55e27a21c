"""What agents did, and what was done to them."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone


class Activity(models.Model):
    """Something that took its time, and how it ended."""

    class Type(models.TextChoices):
        CHAT_START = "chat_start"
        CHAT_END = "chat_end"
        TOOL_CALL = "tool_call"
        SCHEDULE_START = "schedule_start"
        SCHEDULE_END = "schedule_end"
        AGENT_COLLABORATION = "agent_collaboration"
        FILE_ACCESS = "file_access"
        MODEL_CHANGE = "model_change"
        CREDENTIAL_RELOAD = "credential_reload"
        GIT_SYNC = "git_sync"
        AGENT_LIFECYCLE = "agent_lifecycle"
        OPERATION = "operation"

    class State(models.TextChoices):
        STARTED = "started"
        COMPLETED = "completed"
        FAILED = "failed"

    class Trigger(models.TextChoices):
        USER = "user"
        SCHEDULE = "schedule"
        AGENT = "agent"
        SYSTEM = "system"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="activities")
    activity_type = models.CharField(max_length=20, choices=Type)
    activity_state = models.CharField(max_length=9, choices=State, default=State.STARTED)
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    started_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveBigIntegerField(null=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="activities"
    )
    triggered_by = models.CharField(max_length=8, choices=Trigger, default=Trigger.USER)
    related_execution_id = models.CharField(max_length=36, blank=True)
    details = models.JSONField(default=dict, blank=True)
    error = models.CharField(max_length=500, blank=True)
    #: The process that will record its end; empty where that is found out otherwise.
    holder = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-started_at", "-pk"]
        verbose_name_plural = "activities"
        indexes = [
            models.Index(fields=["agent", "-started_at"], name="activity_of_agent"),
            models.Index(fields=["-started_at"], name="activity_by_time"),
            models.Index(fields=["related_execution_id"], name="activity_of_execution"),
            # For the few that are under way. No partial index: SQLite uses none for a value
            # that comes as a parameter.
            models.Index(fields=["activity_state", "agent"], name="activity_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.activity_type} {self.activity_state}"
