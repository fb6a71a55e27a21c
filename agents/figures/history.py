"""Figures of the past: recorded as they are sampled, thinned out as they grow old."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from django.db.models import Avg, Max, Min

from agents.answers.figures import History
from agents.models import Agent, Sample, Stats
from trinity.api import json_time


@dataclass(frozen=True, slots=True)
class Level:
    """How finely samples of some age are kept."""

    seconds: int
    kept: timedelta


FINEST_SECONDS = 2
LEVELS = (
    Level(FINEST_SECONDS, timedelta(minutes=15)),
    Level(60, timedelta(hours=24)),
    Level(15 * 60, timedelta(days=7)),
)
LONGEST_MINUTES = LEVELS[-1].kept // timedelta(minutes=1)

# What one round does at most: it shares the writer with the logs. The next one goes on.
WINDOWS = 15
PRUNED = 20_000

FIGURES = (
    "cpu_percent",
    "memory_used_bytes",
    "memory_limit_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
)


def record(rows: Iterable[Stats]) -> None:
    Sample.objects.bulk_create(
        Sample(
            agent_id=row.agent_id,
            at=row.sampled_at,
            interval_seconds=FINEST_SECONDS,
            **{name: getattr(row, name) for name in FIGURES},
        )
        for row in rows
    )


def tidy(now: datetime) -> None:
    """Sum up what is over, then forget what is too old. Safe to repeat."""
    for fine, coarse in pairwise(LEVELS):
        _roll_up(fine, coarse, now)
    for level in LEVELS:
        old = Sample.objects.filter(interval_seconds=level.seconds, at__lt=now - level.kept)
        Sample.objects.filter(pk__in=old.order_by("at").values("pk")[:PRUNED]).delete()


def as_json(agent: Agent, span: timedelta, *, until: datetime) -> History:
    """The samples of a span from the finest level that covers it, oldest first."""
    level = next((level for level in LEVELS if span <= level.kept), LEVELS[-1])
    samples = Sample.objects.filter(
        agent=agent, interval_seconds=level.seconds, at__gte=until - span
    )
    rows = samples.order_by("at").values("at", *FIGURES)
    return {
        "interval_seconds": level.seconds,
        "samples": [
            {
                "at": json_time(row["at"]),
                "cpu_percent": row["cpu_percent"],
                "memory_used_bytes": row["memory_used_bytes"],
                "memory_limit_bytes": row["memory_limit_bytes"],
                "network_rx_bytes": row["network_rx_bytes"],
                "network_tx_bytes": row["network_tx_bytes"],
            }
            for row in rows
        ],
    }


def _roll_up(fine: Level, coarse: Level, now: datetime) -> None:
    width = timedelta(seconds=coarse.seconds)
    done = Sample.objects.filter(interval_seconds=coarse.seconds).aggregate(at=Max("at"))["at"]
    begin = done + width if done else datetime.fromtimestamp(0, UTC)
    for _ in range(WINDOWS):
        left = Sample.objects.filter(interval_seconds=fine.seconds, at__gte=begin)
        first = left.aggregate(at=Min("at"))["at"]
        if first is None:
            return
        window = _floor(first, coarse.seconds)
        begin = window + width
        if begin > now:
            return
        _sum_up(fine, coarse, window, begin)


def _floor(at: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)


def _sum_up(fine: Level, coarse: Level, begin: datetime, end: datetime) -> None:
    samples = Sample.objects.filter(interval_seconds=fine.seconds, at__gte=begin, at__lt=end)
    # Null where none of them is known. Network figures are counters: the last is the highest.
    sums = samples.values("agent").annotate(
        cpu=Avg("cpu_percent"),
        used=Avg("memory_used_bytes"),
        limit=Max("memory_limit_bytes"),
        received=Max("network_rx_bytes"),
        sent=Max("network_tx_bytes"),
    )
    Sample.objects.bulk_create(
        Sample(
            agent_id=each["agent"],
            at=begin,
            interval_seconds=coarse.seconds,
            cpu_percent=None if each["cpu"] is None else round(each["cpu"], 2),
            memory_used_bytes=None if each["used"] is None else round(each["used"]),
            memory_limit_bytes=each["limit"],
            network_rx_bytes=each["received"],
            network_tx_bytes=each["sent"],
        )
        for each in sums
    )
