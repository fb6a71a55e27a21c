"""The machine whose engine carries the agents."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from agents import process
from agents.errors import DiskLow, ReportOnly
from agents.models.uids import new_uid

# What to do about it, behind the reason.
GO = (
    ". So Trinity only reports, and changes nothing on the engine. Make sure that no other Trinity "
    "acts on these containers; then an administrator says go: "
    "“Take control” at the host in the admin, or manage.py take_control"
)


class HostManager(models.Manager["Host"]):
    def local(self) -> Host:
        """Return the one host there is, made when first asked for."""
        return self.get_or_create(name="local")[0]


class Host(models.Model):
    """A machine with a container engine, and who may act on it at present (the lease)."""

    LEASE = timedelta(seconds=10)

    name = models.CharField(max_length=63, unique=True)
    #: Tells this installation's containers from any other's on the same engine.
    instance = models.CharField(max_length=12, default=new_uid, editable=False)
    engine_id = models.CharField(max_length=100, blank=True, editable=False)
    cpus = models.PositiveIntegerField(null=True, editable=False)
    memory_bytes = models.PositiveBigIntegerField(null=True, editable=False)
    away_since = models.DateTimeField(null=True, editable=False)
    away_reason = models.CharField(max_length=300, blank=True, editable=False)
    #: While it is set, the engine is looked at, and nothing on it is changed.
    report_only_since = models.DateTimeField(null=True, editable=False)
    report_only_reason = models.CharField(max_length=300, blank=True, editable=False)
    #: The data directory that goes with this database, and how often a supervisor has noted
    #: there that it lives (``trinity.data_directory``): a copy of either does not agree.
    data_directory = models.CharField(max_length=200, blank=True, editable=False)
    beat = models.PositiveBigIntegerField(default=0, editable=False)
    #: Why agents' networks cannot be guarded here; empty while the rules are in force.
    network_refusal = models.CharField(max_length=300, blank=True, editable=False)
    #: While it is set, an administrator accepts networks without a guard.
    network_unguarded_since = models.DateTimeField(null=True, editable=False)
    #: Why nothing new may begin: too little of a disk is free; empty while there is enough.
    disk_refusal = models.CharField(max_length=300, blank=True, editable=False)
    lease_holder = models.CharField(max_length=150, blank=True, editable=False)
    lease_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    lease_expires_at = models.DateTimeField(null=True, editable=False)

    objects = HostManager()

    def __str__(self) -> str:
        return self.name

    def take_lease(self, holder: str) -> int | None:
        """Return the new epoch, or None while another living supervisor holds the lease."""
        free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
        if self.lease_holder and process.is_gone(self.lease_holder):
            # Killed on this machine: no need to wait until its lease runs out.
            free |= Q(lease_holder=self.lease_holder)
        taken = Host.objects.filter(free, pk=self.pk).update(
            lease_holder=holder,
            lease_epoch=F("lease_epoch") + 1,
            lease_expires_at=Now() + self.LEASE,
        )
        self.refresh_from_db()
        return self.lease_epoch if taken and self.lease_holder == holder else None

    def is_led(self) -> bool:
        """Tell whether a supervisor that may still live holds the lease."""
        held = Host.objects.filter(pk=self.pk, lease_expires_at__gte=Now())
        return held.exists() and not process.is_gone(self.lease_holder)

    def renew_lease(self, epoch: int) -> bool:
        held = Host.objects.filter(pk=self.pk, lease_epoch=epoch)
        return bool(held.update(lease_expires_at=Now() + self.LEASE))

    def release_lease(self, epoch: int) -> None:
        held = Host.objects.filter(pk=self.pk, lease_epoch=epoch)
        held.update(lease_expires_at=None, lease_holder="")

    def record_here(
        self, *, engine_id: str, cpus: int, memory_bytes: int, epoch: int | None = None
    ) -> bool:
        """Return whether the engine was recorded as away until now."""
        was_away = self.away_since is not None
        seen = {"engine_id": engine_id, "cpus": cpus, "memory_bytes": memory_bytes}
        seen |= {"away_since": None, "away_reason": ""}
        if not self._as_seen_in(epoch).update(**seen):
            return False
        for name, value in seen.items():
            setattr(self, name, value)
        return was_away

    def _as_seen_in(self, epoch: int | None) -> models.QuerySet[Host]:
        """The host, unless its lease was taken over since that epoch, and with it the word."""
        own = Host.objects.filter(pk=self.pk)
        return own if epoch is None else own.filter(lease_epoch=epoch)

    def record_away(self, reason: str, *, epoch: int | None = None) -> bool:
        """Return whether this is news."""
        here = self._as_seen_in(epoch).filter(away_since=None)
        news = here.update(away_since=timezone.now(), away_reason=reason[:300])
        if news:
            self.refresh_from_db()
        return bool(news)

    def record_report_only(self, reason: str) -> bool:
        """Look from now on and change nothing on the engine; return whether this is news."""
        acting = Host.objects.filter(pk=self.pk, report_only_since=None)
        news = acting.update(report_only_since=timezone.now(), report_only_reason=reason[:300])
        self.refresh_from_db()
        return bool(news)

    def check_control(self) -> None:
        """Raise ReportOnly while nothing on the engine may be changed."""
        if self.report_only_since is not None:
            raise ReportOnly(self.report_only_reason + GO)

    def check_disk(self) -> None:
        """Raise DiskLow while too little is free for anything new."""
        if self.disk_refusal:
            raise DiskLow(self.disk_refusal)

    def record_disk(self, refusal: str) -> bool:
        """Return whether this is news."""
        self.disk_refusal = refusal[:300]
        # Its figures change all the time: news is only whether there is one.
        others = Host.objects.filter(pk=self.pk).exclude(disk_refusal=self.disk_refusal)
        was_refused = others.exclude(disk_refusal="").exists()
        return bool(others.update(disk_refusal=self.disk_refusal)) and was_refused != bool(refusal)

    @property
    def gives_network(self) -> bool:
        return not self.network_refusal or self.network_unguarded_since is not None

    @property
    def network_notice(self) -> str:
        """What people are to know of the agents' networks here; empty when all is well."""
        if not self.network_refusal:
            return ""
        if self.network_unguarded_since is not None:
            return (
                f"Agents reach this host and its networks, unguarded: {self.network_refusal}. "
                "An administrator has accepted that"
            )
        return (
            f"Agents have no network, for it cannot be guarded: {self.network_refusal}. "
            "Remove the cause and restart Trinity; or an administrator accepts the risk at the "
            "host in the admin"
        )

    def record_network(self, refusal: str) -> bool:
        """Return whether this is news."""
        self.network_refusal = refusal[:300]
        others = Host.objects.filter(pk=self.pk).exclude(network_refusal=self.network_refusal)
        return bool(others.update(network_refusal=self.network_refusal))
