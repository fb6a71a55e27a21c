"""Agents: what they should be, and what was last observed of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from agents import process
from agents.errors import AgentNotRunning, AgentPaused, Busy, ClaimLost, InvalidName
from agents.limits import (
    CPU_CHOICES,
    DISK_CHOICES,
    MEMORY_CHOICES,
    cpus,
    disk_bytes,
    memory_bytes,
)
from agents.models.hosts import Host
from agents.models.logs import Log
from agents.models.shares import Share
from agents.models.uids import new_uid
from agents.runtime import Limits
from trinity.models import Scope

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from trinity.models import User


class AgentQuerySet(models.QuerySet["Agent"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Agents that the user owns or has a share of; all of them for an administrator."""
        return self._granted(user, Scope.READ, Share.Role.values)

    def operable_by(self, user: User | AnonymousUser) -> Self:
        """Agents that the user may start, stop, restart and run operations on."""
        return self._granted(user, Scope.OPERATE, [Share.Role.OPERATOR])

    def owned_by(self, user: User | AnonymousUser, scope: Scope = Scope.MANAGE) -> Self:
        """Agents that the user may reconfigure, share and delete.

        To read what only owners see, a token with the scope to read is enough.
        """
        return self._granted(user, scope, [])

    def present(self) -> Self:
        return self.filter(deleting=False)

    def acted_on(self) -> Self:
        """Those whose host is not only looked at.

        No join: in an UPDATE it would move the other conditions into a subquery, which
        PostgreSQL does not ask again of a row that another has just changed.
        """
        acting = Host.objects.filter(pk=OuterRef("host"), report_only_since=None)
        return self.filter(Exists(acting))

    def for_list(self, user: User | AnonymousUser) -> Self:
        """All that one row of a list shows, in one query."""
        shares = Share.objects.unexpired().filter(agent=OuterRef("pk"), email=shared_email(user))
        rows = self.select_related("owner", "host", "git")
        return rows.annotate(shared_with_user=Exists(shares))

    def _granted(self, user: User | AnonymousUser, scope: Scope, roles: Collection[str]) -> Self:
        """What the person may, less what the token leaves out by which he speaks."""
        if not user.is_authenticated or not user.is_active or not user.may(scope):
            return self.none()
        within = self.present()
        if user.agent_uids is not None:
            within = within.filter(uid__in=user.agent_uids)
        if user.is_superuser:
            return within
        # A subquery and not a join: a join would repeat the agent once per share.
        shares = Share.objects.unexpired().filter(
            agent=OuterRef("pk"), email=user.verified_email, role__in=roles
        )
        return within.filter(Q(owner=user) | Exists(shares))


def shared_email(user: User | AnonymousUser) -> str:
    return user.verified_email if user.is_authenticated else ""


class Agent(models.Model):
    """A person's agent: what it should be, and what was last observed of its container.

    The fields of the second half are written by ``agents.lifecycle`` and the supervisor only.
    """

    class Desired(models.TextChoices):
        RUNNING = "running"
        STOPPED = "stopped"

    class Status(models.TextChoices):
        RUNNING = "running"
        STOPPED = "stopped"
        STARTING = "starting"
        STOPPING = "stopping"
        ERROR = "error"
        MISSING = "missing"

    class Verb(models.TextChoices):
        CREATE = "create"
        START = "start"
        STOP = "stop"
        RESTART = "restart"
        DELETE = "delete"
        LIMIT = "limit"

    class Recreation(models.TextChoices):
        """How far the present container is from taking the place of the old one."""

        MAKING = "making", "the new one is to take its place"
        RETURNING = "returning", "the old one is to be the agent's again"
        SPENT = "spent", "the new one is the agent's, the old one to be removed"

    class Network(models.TextChoices):
        NONE = "none"
        INTERNET = "internet"
        PRIVATE = "private", "internet and private networks"

    #: Why an agent that runs does nothing.
    PAUSED = "paused"

    # A verb is done or given up within this time, so a claim this old is abandoned.
    CLAIM = timedelta(seconds=90)

    name = models.CharField(max_length=63)
    #: Names what belongs to it on the engine. Its number would be given again by a database
    #: that was restored from a backup, and with it another agent's workspace.
    uid = models.CharField(max_length=12, unique=True, default=new_uid, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="agents")
    type = models.CharField(max_length=63, default="business-assistant")
    description = models.TextField(blank=True, max_length=4000)
    tags = models.JSONField(default=list, blank=True)
    template = models.CharField(max_length=100, default="local:default")
    image = models.CharField(max_length=255, default="trinity-agent-base:latest")
    # Null means the template's own limit, which is no text.
    memory_limit = models.CharField(  # noqa: DJ001
        max_length=8, null=True, blank=True, choices=[(text, text) for text in MEMORY_CHOICES]
    )
    cpu_limit = models.CharField(  # noqa: DJ001
        max_length=8, null=True, blank=True, choices=[(text, text) for text in CPU_CHOICES]
    )
    disk_limit = models.CharField(  # noqa: DJ001
        max_length=8, null=True, blank=True, choices=[(text, text) for text in DISK_CHOICES]
    )
    template_memory = models.CharField(max_length=8, default="4g", editable=False)
    template_cpu = models.CharField(max_length=8, default="2", editable=False)
    template_disk = models.CharField(max_length=8, default="10g", editable=False)
    #: Its own main program, from its template; empty for none.
    command = models.JSONField(default=list, editable=False)
    #: What a prompt becomes, from its template; empty where it takes none.
    prompt_command = models.JSONField(default=list, editable=False)
    network = models.CharField(max_length=8, choices=Network, default=Network.INTERNET)
    autonomy_enabled = models.BooleanField(default=False)
    is_system = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    host = models.ForeignKey(Host, models.PROTECT, related_name="agents", editable=False)
    log = models.OneToOneField(Log, models.PROTECT, related_name="agent", editable=False)
    desired = models.CharField(
        max_length=8, choices=Desired, default=Desired.RUNNING, editable=False
    )
    status = models.CharField(max_length=8, choices=Status, default=Status.STARTING, editable=False)
    status_reason = models.CharField(max_length=300, blank=True, editable=False)
    status_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    container_id = models.CharField(max_length=64, blank=True, db_index=True, editable=False)
    generation = models.PositiveIntegerField(
        default=1, validators=[MinValueValidator(1)], editable=False
    )
    #: A hash of all that only a new container can change, as this one has it.
    container_spec = models.CharField(max_length=64, blank=True, editable=False)
    recreation = models.CharField(max_length=9, choices=Recreation, blank=True, editable=False)
    # While it is recreated: the container there is to go back to, and whether that ran.
    old_container_id = models.CharField(max_length=64, blank=True, editable=False)
    old_spec = models.CharField(max_length=64, blank=True, editable=False)
    old_ran = models.BooleanField(default=False, editable=False)
    applied_memory_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    applied_cpus = models.FloatField(null=True, editable=False)
    disk_used_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    deleting = models.BooleanField(default=False, editable=False)
    verb = models.CharField(max_length=8, choices=Verb, blank=True, editable=False)
    verb_holder = models.CharField(max_length=150, blank=True, editable=False)
    verb_expires_at = models.DateTimeField(null=True, editable=False)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "name",
                name="agent_name_unique",
                condition=Q(deleting=False),
                violation_error_message="Agent already exists",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def memory(self) -> str:
        """What is recorded: the agent's own limit, or else the template's."""
        return self.memory_limit or self.template_memory

    @property
    def cpu(self) -> str:
        return self.cpu_limit or self.template_cpu

    @property
    def disk(self) -> str:
        return self.disk_limit or self.template_disk

    @property
    def disk_limit_bytes(self) -> int:
        return disk_bytes(self.disk)

    @property
    def is_disk_full(self) -> bool:
        return self.disk_used_bytes is not None and self.disk_used_bytes > self.disk_limit_bytes

    @property
    def is_paused(self) -> bool:
        return self.status == self.Status.RUNNING and self.status_reason == self.PAUSED

    def check_running(self) -> None:
        """Raise AgentNotRunning unless it runs, and is not paused."""
        if self.status != self.Status.RUNNING:
            raise AgentNotRunning(f"Agent {self.name} is {self.status}: start it first")
        if self.is_paused:
            raise AgentPaused(self.name)

    @property
    def limits(self) -> Limits:
        """The recorded limits, as far as the host goes."""
        memory, cpu = memory_bytes(self.memory), cpus(self.cpu)
        return Limits(
            min(memory, self.host.memory_bytes or memory), min(cpu, self.host.cpus or cpu)
        )

    @property
    def applied_limits(self) -> Limits | None:
        """What its container has; None where there is none, or where that is not known."""
        if self.applied_memory_bytes is None or self.applied_cpus is None:
            return None
        return Limits(self.applied_memory_bytes, self.applied_cpus)

    def claim(self, verb: Verb) -> None:
        """Make sure that no other verb works on this agent; raise Busy when one does.

        Raises ReportOnly while nothing on its host may be changed.
        """
        claimed = (
            Agent.objects.acted_on()
            .filter(pk=self.pk, verb="")
            .update(verb=verb, verb_holder=process.HOLDER, verb_expires_at=Now() + self.CLAIM)
        )
        if not claimed:
            Host.objects.get(pk=self.host_id).check_control()
            raise Busy(f"Another action on {self.name} is under way: try again when it is done")
        self.refresh_from_db()

    def hold(self) -> None:
        """Go on holding the claim; raise ClaimLost when its time ran out and it was taken over."""
        mine = Agent.objects.filter(pk=self.pk, verb_holder=process.HOLDER).exclude(verb="")
        if not mine.update(verb_expires_at=Now() + self.CLAIM):
            raise ClaimLost(f"The action on {self.name} took too long: it goes on by itself")

    def release(self, **recorded: Any) -> None:
        """Give the claim back and record the outcome in the same write.

        Nothing is written by a process so slow that its claim ran out and was taken over.
        """
        mine = Agent.objects.filter(verb_holder=process.HOLDER)
        self._write(mine, verb="", verb_holder="", verb_expires_at=None, **recorded)

    def record(self, **fields: Any) -> None:
        """Write what was observed, and nothing that others write."""
        self._write(Agent.objects.all(), **fields)

    def _write(self, agents: AgentQuerySet, **fields: Any) -> None:
        if "status" in fields:
            fields.setdefault("status_reason", "")
            fields.setdefault("status_at", timezone.now())
        agents.filter(pk=self.pk).update(**fields)
        for name, value in fields.items():
            setattr(self, name, value)


# Fixed paths of the API that would hide an agent of that name.
RESERVED_NAMES = {"context-stats", "autonomy-status", "activities"}


def clean_name(name: str) -> str:
    """Return the name as it is stored; raise InvalidName when nothing remains."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    cleaned = re.sub(r"-+", "-", cleaned)
    cleaned = re.sub(r"^[^A-Za-z0-9]+|-+$", "", cleaned).lower()[:63].rstrip("-")
    if not cleaned:
        raise InvalidName("Invalid agent name - must contain at least one alphanumeric character")
    if cleaned in RESERVED_NAMES:
        raise InvalidName(f"Invalid agent name - {cleaned} is a word of the API: choose another")
    return cleaned
