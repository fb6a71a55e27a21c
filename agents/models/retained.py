"""What is kept of deleted agents for a while."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from agents.models.hosts import Host
from agents.models.logs import Log


class RetainedQuerySet(models.QuerySet["RetainedWorkspace"]):
    # One moment parts the two, by the database's clock: nothing is restored and purged at once.

    def restorable(self) -> Self:
        return self.filter(purge_at__gt=Now())

    def due(self) -> Self:
        return self.filter(purge_at__lte=Now())


class RetainedWorkspace(models.Model):
    """The workspace of a deleted agent and its log, except for what was to go at once."""

    #: The agent's, by which its volume is named.
    uid = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=63)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    host = models.ForeignKey(Host, models.PROTECT, related_name="retained")
    has_workspace = models.BooleanField(default=True)
    log = models.OneToOneField(Log, models.PROTECT, null=True, related_name="retained")
    #: The fields of the agent that a restored one begins with.
    record = models.JSONField(default=dict)
    #: Its variables, sealed as a whole: some of them are secrets.
    environment = models.TextField(blank=True)
    deleted_at = models.DateTimeField(auto_now_add=True)
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    purge_at = models.DateTimeField(db_index=True)

    objects = RetainedQuerySet.as_manager()

    class Meta:
        ordering = ["-deleted_at"]

    def __str__(self) -> str:
        return f"{self.name}, deleted {self.deleted_at:%Y-%m-%d}"
