"""Who may do something, and what was done: users, API tokens, audit events."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class Scope(models.TextChoices):
    """What a token can be limited to: manage includes operate, and that includes read."""

    READ = "read"
    OPERATE = "operate"
    MANAGE = "manage"
    METRICS = "metrics"

    @property
    def granted_by(self) -> set[str]:
        ladder = [Scope.READ, Scope.OPERATE, Scope.MANAGE]
        return {*ladder[ladder.index(self) :]} if self in ladder else {self}


class PersonManager(UserManager["User"]):
    def create_superuser(
        self,
        username: str,
        email: str | None = None,
        password: str | None = None,
        **extra_fields: Any,
    ) -> User:
        # Whoever installs the product, or has a shell on its machine, vouches for his address.
        extra_fields.setdefault("email_verified_at", timezone.now())
        return super().create_superuser(username, email, password, **extra_fields)


class User(AbstractUser):
    """A person. The e-mail address is what agents are shared with, so it is required and unique."""

    email = models.EmailField("e-mail address")
    #: Since when somebody vouches that the address is this person's; shares count only then.
    email_verified_at = models.DateTimeField("e-mail address verified", null=True, editable=False)

    #: By which token and from where the person speaks now. Not stored, and read wherever it
    #: is asked what he may, so that a token limits him on every path alike.
    token: ApiToken | None = None
    address: str | None = None

    objects: ClassVar[PersonManager] = PersonManager()

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
        fields = kwargs.get("update_fields")
        if (fields is None or "email" in fields) and self._has_new_address():
            self.email_verified_at = None
            if fields is not None:
                kwargs["update_fields"] = {*fields, "email_verified_at"}
        super().save(*args, **kwargs)

    def _has_new_address(self) -> bool:
        stored = User.objects.filter(pk=self.pk)
        return not self._state.adding and not stored.filter(email=self.email).exists()

    @property
    def verified_email(self) -> str:
        """The address that shares count for; empty, and so nobody's, until it is verified."""
        return self.email if self.email_verified_at else ""

    @property
    def agent_uids(self) -> list[str] | None:
        """The agents that the token is limited to; None for all that the person may see."""
        return self.token.agent_uids if self.token else None

    def may(self, scope: Scope) -> bool:
        """Tell whether the token leaves him this scope; what he may at all is another question."""
        return self.token is None or self.token.has(scope)


class ApiToken(models.Model):
    """A bearer token; only its hash is kept, so it can be shown once and never again.

    It may what its user may, or less. Plain SHA-256 and no slow hash: the token is 256 random
    bits, which nobody guesses.
    """

    PREFIX = "trinity_"
    SIGN_IN_LIFETIME = timedelta(days=7)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: Null: all that its user may.
    scopes = models.JSONField(null=True, editable=False)
    #: Null, or the agents it is limited to: ``{"uid", "name"}`` of each. By uid, so that a later
    #: agent of the same name is another's.
    agents = models.JSONField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(
        cls,
        user: User,
        name: str,
        *,
        expires_at: datetime | None,
        scopes: list[str] | None = None,
        agents: list[dict[str, str]] | None = None,
    ) -> tuple[ApiToken, str]:
        """Return the stored token and its text, which exists only here."""
        text = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user,
            name=name,
            prefix=text[:12],
            digest=cls.hash(text),
            expires_at=expires_at,
            scopes=scopes,
            agents=agents,
        )
        return token, text

    @staticmethod
    def hash(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def is_valid(self, at: datetime) -> bool:
        # Not in the query: it is asked for with each request, and takes a third longer so.
        return self.user.is_active and (self.expires_at is None or self.expires_at > at)

    @property
    def is_narrow(self) -> bool:
        return self.scopes is not None or self.agents is not None

    @property
    def agent_uids(self) -> list[str] | None:
        return None if self.agents is None else [agent["uid"] for agent in self.agents]

    def has(self, scope: Scope) -> bool:
        return self.scopes is None or not scope.granted_by.isdisjoint(self.scopes)

    def covers(self, other: ApiToken) -> bool:
        """Tell whether the other may nothing that this one may not."""
        if self.scopes is not None and (
            other.scopes is None or not all(self.has(Scope(scope)) for scope in other.scopes)
        ):
            return False
        if self.agent_uids is None:
            return True
        return other.agent_uids is not None and {*other.agent_uids} <= {*self.agent_uids}

    def touch(self, at: datetime) -> None:
        """Record a use, at most once a minute: a read of a list must not cost a write."""
        if self.last_used_at is None or at - self.last_used_at > timedelta(minutes=1):
            type(self).objects.filter(pk=self.pk).update(last_used_at=at)


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Events are only added: what was done stays done, also for those who would rather not."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AuditIsAppendOnly

    def delete(self) -> NoReturn:
        raise AuditIsAppendOnly

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditIsAppendOnly


class AuditIsAppendOnly(TypeError):
    """A bug: no code may change or remove what is recorded."""


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
    # So does the token's.
    token_name = models.CharField(max_length=100, blank=True, editable=False)
    address = models.GenericIPAddressField(null=True, editable=False)
    verb = models.CharField(max_length=40, editable=False)
    object_type = models.CharField(max_length=40, editable=False)
    object_name = models.CharField(max_length=100, editable=False)
    outcome = models.CharField(max_length=10, choices=Outcome, editable=False)
    detail = models.CharField(max_length=500, blank=True, editable=False)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["object_type", "object_name", "-at"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_type} {self.object_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AuditIsAppendOnly
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditIsAppendOnly


class IdempotentRequest(models.Model):
    """A POST with an ``Idempotency-Key``: who acts on it now, or what it was answered."""

    #: How long the first answer is given again.
    KEPT = timedelta(hours=24)

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    #: Keyed hash of what was asked for: a body may hold secrets.
    fingerprint = models.CharField(max_length=64)
    #: Changes with each claim, so that a process which was taken for dead writes nothing.
    holder = models.UUIDField()
    claimed_until = models.DateTimeField()
    #: Null while it is under way.
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint("user", "key", name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.key} of {self.user_id}"
