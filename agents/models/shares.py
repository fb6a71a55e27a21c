"""Whom an agent is shared with."""

from __future__ import annotations

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ShareQuerySet(models.QuerySet["Share"]):
    def unexpired(self) -> Self:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()))


class Share(models.Model):
    """Access to one agent for the person with an e-mail address, who may have no account yet."""

    class Role(models.TextChoices):
        VIEWER = "viewer"
        OPERATOR = "operator"

    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="shares")
    email = models.EmailField()
    role = models.CharField(max_length=8, choices=Role, default=Role.VIEWER)
    shared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint("agent", "email", name="share_once")]
        indexes = [models.Index(fields=["email", "agent"], name="share_by_email")]

    def __str__(self) -> str:
        return f"{self.agent} with {self.email}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)
