"""Whether this installation acts on its engine, or only looks and reports.

A restored or copied database carries the labels of its original, and would stop, remove and
start again what belongs to that. What gives it away: another data directory, an older count
of the supervisor's beats, another engine.
"""

import logging
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from agents.errors import ReportOnly
from agents.models import Agent, Host
from agents.models.hosts import GO
from agents.runtime import Container, ContainerStatus, get_runtime
from trinity import data_directory
from trinity.audit import Actor, recorded

logger = logging.getLogger(__name__)

# Agents' servers refuse epochs below the highest they have seen, and the database that was
# used since the backup has gone on counting.
AHEAD = 1_000_000

NOTHING_UNDER_WAY: dict[str, Any] = {"verb": "", "verb_holder": "", "verb_expires_at": None}
NOTHING_UNDER_WAY |= {"recreation": "", "old_container_id": "", "old_spec": "", "old_ran": False}


def check(host: Host) -> None:
    """Raise ReportOnly unless verbs may act, also before a supervisor has found out why not."""
    host.check_control()
    if reason := doubt(host):
        raise ReportOnly(reason + GO)


def doubt(host: Host) -> str:
    """Say what speaks against this database and data directory being one; empty for nothing."""
    known = host.data_directory
    if known and not data_directory.is_same(known, data_directory.identity()):
        return "The data directory is not the one that goes with the database: one is a copy"
    noted = data_directory.noted_beat()
    if noted > host.beat:
        # It may have been counted since this row was read.
        host.refresh_from_db(fields=["beat"])
    if noted > host.beat:
        return "The database is older than what Trinity did last: it was put back from a copy"
    return ""


def look(host: Host) -> None:
    """Before the holder of the lease acts: only report, or note what the host is known by."""
    reason = doubt(host)
    if reason:
        report_only(host, reason)
    elif not host.report_only_since:
        host.data_directory = data_directory.identity()
        host.save(update_fields=["data_directory"])


def meet(host: Host, engine_id: str) -> None:
    """Only report where the engine is not the one that was known."""
    if host.engine_id and engine_id != host.engine_id:
        report_only(host, "The container engine is another one than before")


def report_only(host: Host, reason: str) -> None:
    if host.record_report_only(reason):
        logger.warning("%s%s", reason, GO)


def beat(host: Host, epoch: int) -> None:
    """Count on, in the database first: what is noted is never ahead of the one that is right."""
    held = Host.objects.filter(pk=host.pk, lease_epoch=epoch, report_only_since=None)
    if held.update(beat=F("beat") + 1):
        host.refresh_from_db(fields=["beat"])
        data_directory.note_beat(host.beat)


def take(actor: Actor) -> int:
    """Act again, on an administrator's word; return how many agents were given their containers.

    Agents that should run and were found down meanwhile are started by the supervisor. Raises
    EngineUnavailable. Nothing happens where Trinity acts already.
    """
    host = Host.objects.local()
    reason = host.report_only_reason or doubt(host)
    if not reason:
        return 0
    with recorded(actor, "take_control", "host", host.name, detail=reason):
        found = get_runtime().containers(instance=host.instance)
        description = get_runtime().describe()
        with transaction.atomic():
            given = _give_containers(host, found)
            _have_started(host)
            _record_control(host, description.id)
    return given


def _give_containers(host: Host, found: list[Container]) -> int:
    """Give agents the containers that were made for them after the backup.

    The labels only propose: the server inside has to prove itself to whoever speaks with it.
    """
    there = {container.id for container in found}
    latest: dict[str, Container] = {}
    for container in sorted(found, key=_generation):
        latest[container.labels.get("trinity.agent-uid", "")] = container
    lost = Agent.objects.present().filter(host=host, uid__in=latest).exclude(container_id__in=there)
    for agent in lost:
        _give(agent, latest[agent.uid])
    return len(lost)


def _generation(container: Container) -> int:
    told = container.labels.get("trinity.generation", "")
    return int(told) if told.isdecimal() else 0


def _give(agent: Agent, container: Container) -> None:
    runs = container.status is ContainerStatus.RUNNING
    agent.record(
        # What was under way before the backup is about a container that is no more.
        **NOTHING_UNDER_WAY,
        container_id=container.id,
        generation=max(1, _generation(container)),
        container_spec=container.labels.get("trinity.spec", ""),
        applied_memory_bytes=None,
        applied_cpus=None,
        status=Agent.Status.RUNNING if runs else Agent.Status.STOPPED,
    )


def _have_started(host: Host) -> None:
    if host.report_only_since is None:
        return
    down = Agent.objects.present().filter(
        host=host,
        verb="",
        desired=Agent.Desired.RUNNING,
        status__in=[Agent.Status.STOPPED, Agent.Status.MISSING],
        status_at__gte=host.report_only_since,
    )
    down.update(status=Agent.Status.STARTING, status_at=timezone.now())


def _record_control(host: Host, engine_id: str) -> None:
    Host.objects.filter(pk=host.pk).update(
        report_only_since=None,
        report_only_reason="",
        data_directory=data_directory.identity(),
        engine_id=engine_id,
        beat=max(host.beat, data_directory.noted_beat()),
        # Whoever supervises begins anew.
        lease_epoch=F("lease_epoch") + AHEAD,
    )
