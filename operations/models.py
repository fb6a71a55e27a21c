"""Operations: a command run in an agent's container, from the request to its one outcome."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone

from agents.models import Agent, Log
from operations.errors import Finished
from operations.grant_models import Grant
from trinity.models import Scope
from trinity.poll_tokens import Poller

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from trinity.models import User


SUMMARY_CHARACTERS = 4000


class OperationQuerySet(models.QuerySet["Operation"]):
    def visible_to(self, user: User | AnonymousUser | Poller) -> Self:
        """Those that the user asked for, and those of agents that the user may see."""
        return self._granted(user, Scope.READ, Agent.objects.visible_to)

    def cancelable_by(self, user: User | AnonymousUser | Poller) -> Self:
        return self._granted(user, Scope.OPERATE, Agent.objects.operable_by)

    def _granted(
        self,
        user: User | AnonymousUser | Poller,
        scope: Scope,
        agents_of: Callable[[User | AnonymousUser], models.QuerySet[Agent]],
    ) -> Self:
        if isinstance(user, Poller):
            return self.filter(pk=user.operation_id)
        if not user.is_authenticated or not user.is_active or not user.may(scope):
            return self.none()
        # What he asked for he may see whatever became of the share, but not by a token that is
        # limited to other agents.
        within = self if user.agent_uids is None else self.filter(agent__uid__in=user.agent_uids)
        return within.filter(
            Q(requester=user) | Exists(agents_of(user).filter(pk=OuterRef("agent")))
        )

    def unfinished(self) -> Self:
        return self.filter(status__in=[Operation.Status.STARTING, Operation.Status.PROCESSING])

    def waiting(self) -> Self:
        """Those that the limits leave no place yet, or that nobody has looked at."""
        return self.filter(status=Operation.Status.STARTING, admitted_at=None)


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
    #: What is kept of it: without its values, nobody would know that something is amiss.
    environment_names = models.JSONField(default=list, editable=False)
    workdir = models.CharField(max_length=500, blank=True, editable=False)
    timeout_seconds = models.PositiveIntegerField(null=True, editable=False)
    #: Runs in a container of its own, and not in the agent's.
    is_isolated = models.BooleanField(default=False, editable=False)
    # Of an isolated one; never more than the agent has. Empty otherwise.
    memory = models.CharField(max_length=8, blank=True, editable=False)
    cpu = models.CharField(max_length=8, blank=True, editable=False)
    network = models.CharField(max_length=8, blank=True, choices=Agent.Network, editable=False)
    log = models.OneToOneField(Log, models.PROTECT, related_name="operation", editable=False)
    status = models.CharField(
        max_length=10, choices=Status, default=Status.STARTING, editable=False
    )
    error = models.CharField(max_length=20, choices=Error, blank=True, editable=False)
    summary = models.CharField(max_length=4000, blank=True, editable=False)
    #: What else there is to say of the result: by the program, and of what was left out of it.
    notes = models.JSONField(default=list, editable=False)
    artifact_count = models.PositiveIntegerField(default=0, editable=False)
    exit_code = models.IntegerField(null=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    #: When it got a place among those that run; until then it waits (``operations.queue``).
    admitted_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    #: From where, and by the token of which name.
    requested_from = models.GenericIPAddressField(null=True, editable=False)
    token_name = models.CharField(max_length=100, blank=True, editable=False)
    #: By what it was asked for instead of a requester, and by whose signature.
    grant = models.ForeignKey(Grant, models.SET_NULL, null=True, related_name="+", editable=False)
    signer = models.CharField(max_length=42, blank=True, editable=False)
    #: Of the token by which whoever signed reads and cancels it.
    poll_digest = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001  # null, so that many have none

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["finished_at"], name="operation_finished"),
            models.Index(
                fields=["created_at"],
                name="operation_unfinished",
                condition=Q(status__in=["starting", "processing"]),
            ),
            # Whose turn was the longest ago.
            models.Index(fields=["requester", "-admitted_at"], name="operation_turns"),
            models.Index(
                fields=["signer", "-admitted_at"],
                name="operation_signer_turns",
                condition=Q(requester=None),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def command_line(self) -> str:
        """As it was typed, where it is a text for a shell; else as one would type it there."""
        match self.command:
            case ["sh", "-c", text]:
                return str(text)
            case words:
                return shlex.join(words)

    @property
    def outcome(self) -> str:
        """How it ended, in few words; an exit code says by itself that the program exited."""
        has_code = self.exit_code is not None
        says_more = self.error and not (has_code and self.error == self.Error.EXITED)
        words = [self.get_error_display().lower()] if says_more else []
        return ", ".join([*words, f"exit code {self.exit_code}"] if has_code else words)

    @property
    def is_finished(self) -> bool:
        return self.status not in {self.Status.STARTING, self.Status.PROCESSING}

    @property
    def is_waiting(self) -> bool:
        return self.status == self.Status.STARTING and self.admitted_at is None

    def admit(self) -> bool:
        """Give it a place; return False when it has ended, or has one."""
        waiting = Operation.objects.waiting().filter(pk=self.pk)
        return bool(waiting.update(admitted_at=timezone.now()))

    def mark_processing(self, since: datetime | None = None) -> bool:
        """Return False when it was under way or finished already."""
        starting = Operation.objects.filter(pk=self.pk, status=self.Status.STARTING)
        begun = {"status": self.Status.PROCESSING, "started_at": since or timezone.now()}
        return self._write(starting, **begun)

    def finish(
        self,
        status: Status,
        *,
        error: str = "",
        summary: str = "",
        exit_code: int | None = None,
        notes: Sequence[str] = (),
        artifacts: Sequence[Artifact] = (),
        has_strays: bool = False,
    ) -> bool:
        """Record the one outcome, in a transaction; return False when another came first.

        ``has_strays``: in the storage may be files of an earlier attempt to take its artifacts.
        """
        ended = self._write(
            Operation.objects.unfinished().filter(pk=self.pk),
            status=status,
            error=error,
            summary=summary[:SUMMARY_CHARACTERS],
            exit_code=exit_code,
            notes=list(notes),
            artifact_count=len(artifacts),
            finished_at=timezone.now(),
            environment=b"",
        )
        if ended:
            Artifact.objects.bulk_create(artifacts)
            if has_strays and not artifacts:
                LeftFolder.objects.get_or_create(operation_id=self.pk)
        return ended

    def cancel_waiting(self) -> bool:
        """End it before it begins; return False when it has got a place, or has ended."""
        now = timezone.now()
        ended = {"status": self.Status.CANCELED, "finished_at": now, "cancel_requested_at": now}
        waiting = Operation.objects.waiting().filter(pk=self.pk)
        return self._write(waiting, environment=b"", **ended)

    def request_cancel(self) -> None:
        """Ask for its end; raise Finished when it has ended already."""
        asked = Operation.objects.unfinished().filter(pk=self.pk)
        # The first time counts: by it is reckoned when the end is due.
        if not asked.update(cancel_requested_at=Coalesce("cancel_requested_at", timezone.now())):
            raise Finished

    def _write(self, operations: OperationQuerySet, **fields: Any) -> bool:
        """Change it if it is among them; return whether it was."""
        written = bool(operations.update(**fields))
        if written:
            for name, value in fields.items():
                setattr(self, name, value)
        return written


class Artifact(models.Model):
    """A file that an operation left behind; its bytes lie in the storage of artifacts."""

    # Known before the row is: a transaction that is tried again stores the same one.
    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    operation = models.ForeignKey(
        Operation, models.CASCADE, related_name="artifacts", editable=False
    )
    path = models.CharField(max_length=2000, editable=False)
    size = models.PositiveBigIntegerField(editable=False)
    content_type = models.CharField(max_length=100, editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    #: Where its bytes are: never made of what the program called it.
    stored_as = models.CharField(max_length=100, editable=False)

    class Meta:
        ordering = ["operation", "path"]
        constraints = [
            models.UniqueConstraint(fields=["operation", "path"], name="artifact_path_once")
        ]

    def __str__(self) -> str:
        return self.path


class LeftFolder(models.Model):
    """A folder of the storage without artifacts that count, whose files are still to be deleted."""

    operation_id = models.UUIDField(unique=True, editable=False)
    left_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.operation_id)


@receiver(post_delete, sender=Operation)
def leave_folder(instance: Operation, **_signal: Any) -> None:
    """Remember its files in the transaction which deletes it, with its agent or by itself."""
    # One that runs may just be storing some.
    if instance.artifact_count or not instance.is_finished:
        LeftFolder.objects.get_or_create(operation_id=instance.pk)
