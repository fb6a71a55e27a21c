"""Operations: a command run in an agent's container, from the request to its one outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from agents.models import Agent, Log
from operations.errors import Finished

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from trinity.models import User


class OperationQuerySet(models.QuerySet["Operation"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those that the user asked for, and those of agents that the user may see."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        agents = Agent.objects.visible_to(user).filter(pk=OuterRef("agent"))
        return self.filter(Q(requester=user) | Exists(agents))

    def cancelable_by(self, user: User | AnonymousUser) -> Self:
        if not user.is_authenticated or not user.is_active:
            return self.none()
        agents = Agent.objects.operable_by(user).filter(pk=OuterRef("agent"))
        return self.filter(Q(requester=user) | Exists(agents))

    def unfinished(self) -> Self:
        return self.filter(status__in=[Operation.Status.STARTING, Operation.Status.PROCESSING])


class Operation(models.Model):
    class Status(models.TextChoices):
        STARTING = "starting"
        PROCESSING = "processing"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELED = "canceled"

    class Error(models.TextChoices):
        IMAGE_MISSING = "image_missing"
        START_FAILED = "start_failed"
        EXITED = "exited"
        TIMEOUT = "timeout"
        OUT_OF_MEMORY = "out_of_memory"
        ENGINE_UNAVAILABLE = "engine_unavailable"
        LOST = "lost"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="operations", editable=False)
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="operations",
        editable=False,
    )
    command = models.JSONField(editable=False)
    #: Encrypted, and erased at the end: it may hold secrets.
    environment = models.BinaryField(blank=True, default=b"", editable=False)
    workdir = models.CharField(max_length=500, blank=True, editable=False)
    timeout_seconds = models.PositiveIntegerField(null=True, editable=False)
    log = models.OneToOneField(Log, models.PROTECT, related_name="operation", editable=False)
    status = models.CharField(
        max_length=10, choices=Status, default=Status.STARTING, editable=False
    )
    error = models.CharField(max_length=20, choices=Error, blank=True, editable=False)
    summary = models.CharField(max_length=500, blank=True, editable=False)
    exit_code = models.IntegerField(null=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="operation_unfinished",
                condition=Q(status__in=["starting", "processing"]),
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_finished(self) -> bool:
        return self.status not in {self.Status.STARTING, self.Status.PROCESSING}

    def mark_processing(self) -> bool:
        """Return False when it was under way or finished already."""
        starting = Operation.objects.filter(pk=self.pk, status=self.Status.STARTING)
        return bool(starting.update(status=self.Status.PROCESSING, started_at=timezone.now()))

    def finish(
        self, status: Status, *, error: str = "", summary: str = "", exit_code: int | None = None
    ) -> bool:
        """Record the one outcome; return False when another came first."""
        unfinished = Operation.objects.unfinished().filter(pk=self.pk)
        return bool(
            unfinished.update(
                status=status,
                error=error,
                summary=summary[:500],
                exit_code=exit_code,
                finished_at=timezone.now(),
                environment=b"",
            )
        )

    def request_cancel(self) -> None:
        """Ask for its end; raise Finished when it has ended already."""
        asked = Operation.objects.unfinished().filter(pk=self.pk)
        if not asked.update(cancel_requested_at=timezone.now()):
            raise Finished
