"""Who may do something, and what was done: users, API tokens, audit events."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone


class User(AbstractUser):
    """A person. The e-mail address is what agents are shared with, so it is required and unique."""

    email = models.EmailField("e-mail address")

    REQUIRED_FIELDS = ["email"]

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message="A user with that e-mail address already exists.",
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self, at: datetime) -> ApiTokenQuerySet:
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at), user__is_active=True)


class ApiToken(models.Model):
    """A bearer token; only its hash is kept, so it can be shown once and never again.

    Plain SHA-256 and no slow hash: the token is 256 random bits, which nobody guesses.
    """

    PREFIX = "trinity_"
    SIGN_IN_LIFETIME = timedelta(days=7)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, user: User, name: str, *, expires_at: datetime | None) -> tuple[ApiToken, str]:
        """Return the stored token and its text, which exists only here."""
        text = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user, name=name, prefix=text[:12], digest=cls.hash(text), expires_at=expires_at
        )
        return token, text

    @staticmethod
    def hash(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def touch(self, at: datetime) -> None:
        """Record a use, at most once a minute: a read of a list must not cost a write."""
        if self.last_used_at is None or at - self.last_used_at > timedelta(minutes=1):
            type(self).objects.filter(pk=self.pk).update(last_used_at=at)


class AuditEvent(models.Model):
    """Who did what to which object, from where, and how it ended; only ever added."""

    class Outcome(models.TextChoices):
        DONE = "done"
        FAILED = "failed"
        DENIED = "denied"

    at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", editable=False
    )
    # The name outlives the account.
    actor_name = models.CharField(max_length=150, editable=False)
    token = models.ForeignKey(
        ApiToken, models.SET_NULL, null=True, related_name="+", editable=False
    )
    address = models.GenericIPAddressField(null=True, editable=False)
    verb = models.CharField(max_length=40, editable=False)
    object_type = models.CharField(max_length=40, editable=False)
    object_name = models.CharField(max_length=100, editable=False)
    outcome = models.CharField(max_length=10, choices=Outcome, editable=False)
    detail = models.CharField(max_length=500, blank=True, editable=False)

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["object_type", "object_name", "-at"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_type} {self.object_name}"
