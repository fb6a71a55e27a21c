"""From counters to figures: what is not known is null, never 0."""

import pytest
from django.utils import timezone

from agents.figures import stats
from agents.models import Stats
from agents.runtime import Usage


def cpu_percent(now, before):
    return stats.figures(1, now, before, timezone.now()).cpu_percent


def test_cpu_is_told_in_percent_of_one_core():
    assert cpu_percent(Usage(12.0, cpu_seconds=4.0), Usage(10.0, cpu_seconds=1.0)) == 150
    assert cpu_percent(Usage(12.0, cpu_seconds=1.0), Usage(10.0, cpu_seconds=1.0)) == 0


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (Usage(12.0, cpu_seconds=4.0), None),
        (Usage(12.0), Usage(10.0, cpu_seconds=1.0)),
        (Usage(12.0, cpu_seconds=4.0), Usage(10.0)),
        (Usage(10.0, cpu_seconds=4.0), Usage(10.0, cpu_seconds=1.0)),
        (Usage(12.0, cpu_seconds=0.5), Usage(10.0, cpu_seconds=1.0)),
    ],
    ids=["first sample", "not now", "not before", "no time between", "began again"],
)
def test_cpu_is_null_where_there_is_nothing_to_compare(now, before):
    assert cpu_percent(now, before) is None


@pytest.mark.parametrize(
    ("used", "limit", "percent"),
    [(50, 200, 25), (0, 200, 0), (None, 200, None), (50, None, None), (50, 0, None)],
)
def test_memory_percent_needs_both_figures(used, limit, percent):
    sample = Stats(memory_used_bytes=used, memory_limit_bytes=limit)
    assert stats.memory_percent(sample) == percent


def test_figures_that_are_not_known_are_told_as_null():
    told = stats.as_json(stats.figures(1, Usage(1.0), None, timezone.now()))
    del told["sampled_at"]
    assert set(told.values()) == {None}
