"""Stats of the past: from the finest interval that covers the span; null, never 0."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from agents.database import Writer, read
from agents.figures import history
from agents.figures.sampler import Sampler
from agents.models import Sample
from tests.factories import client_of, make_agent

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def agent():
    return make_agent(name="scribe")


def sample(agent, at, seconds=2, **figures):
    return Sample.objects.create(agent=agent, at=at, interval_seconds=seconds, **figures)


def kept(agent, seconds):
    return list(Sample.objects.filter(agent=agent, interval_seconds=seconds).order_by("at"))


def answer(agent, query=""):
    return client_of(agent.owner).get(f"/api/agents/scribe/stats/history{query}")


def test_an_agent_without_a_past_has_no_samples(agent, containers):
    assert answer(agent).json() == {"interval_seconds": 2, "samples": []}
    assert not containers.calls


def test_samples_are_told_oldest_first_and_null_for_what_is_not_known(agent):
    now = timezone.now()
    sample(agent, now - timedelta(seconds=2), cpu_percent=1.5, memory_used_bytes=7)
    sample(agent, now - timedelta(seconds=4))
    sample(agent, now - timedelta(minutes=16))
    sample(make_agent(), now)
    first, second = answer(agent).json()["samples"]
    figures = dict.fromkeys(history.FIGURES)
    at = f"{now - timedelta(seconds=4):%Y-%m-%dT%H:%M:%S.%f}Z"
    assert first == {"at": at, **figures}
    assert (second["cpu_percent"], second["memory_used_bytes"]) == (1.5, 7)


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(1, 2), (15, 2), (16, 60), (1440, 60), (1441, 900), (10080, 900)]
)
def test_the_finest_interval_that_covers_the_span_answers(agent, minutes, seconds):
    for each in (2, 60, 900):
        sample(agent, timezone.now() - timedelta(seconds=30), each, cpu_percent=each)
    told = answer(agent, f"?minutes={minutes}").json()
    assert told["interval_seconds"] == seconds
    assert [each["cpu_percent"] for each in told["samples"]] == [seconds]


@pytest.mark.parametrize("minutes", ["0", "10081", "x", "-1", "1.5"])
def test_a_span_outside_its_bounds_is_refused(agent, minutes):
    told = answer(agent, f"?minutes={minutes}")
    assert told.status_code == 422
    assert told.json()["detail"][0]["loc"] == ["query", "minutes"]


def test_a_minute_that_is_over_is_summed_up_once(agent):
    for second, percent in ((0, 10), (2, None), (58, 20)):
        at = NOON + timedelta(seconds=second)
        sample(agent, at, cpu_percent=percent, memory_used_bytes=second, network_rx_bytes=second)
    sample(agent, NOON + timedelta(seconds=60), cpu_percent=99)
    for _ in range(2):
        history.tidy(NOON + timedelta(seconds=61))
    [minute] = kept(agent, 60)
    assert minute.at == NOON
    assert (minute.cpu_percent, minute.memory_used_bytes, minute.network_rx_bytes) == (15, 20, 58)
    assert minute.memory_limit_bytes is minute.network_tx_bytes is None


def test_minutes_are_summed_up_to_quarters_for_each_agent(agent):
    other = make_agent()
    for minute in range(16):
        sample(agent, NOON + timedelta(minutes=minute), 60, cpu_percent=minute)
        sample(other, NOON + timedelta(minutes=minute), 60, cpu_percent=50)
    history.tidy(NOON + timedelta(minutes=16))
    assert [(each.at, each.cpu_percent) for each in kept(agent, 900)] == [(NOON, 7)]
    assert [each.cpu_percent for each in kept(other, 900)] == [50]


def test_what_was_left_when_trinity_stopped_is_summed_up_later(agent):
    sample(agent, NOON, 60, cpu_percent=3)
    history.tidy(NOON + timedelta(hours=20))
    assert [each.at for each in kept(agent, 900)] == [NOON]


def test_one_round_does_so_much_and_the_next_goes_on(agent, monkeypatch):
    monkeypatch.setattr(history, "WINDOWS", 2)
    monkeypatch.setattr(history, "PRUNED", 2)
    for minute in range(5):
        sample(agent, NOON + timedelta(minutes=minute))
    later = NOON + timedelta(minutes=5)
    history.tidy(later)
    assert len(kept(agent, 60)) == 2
    history.tidy(later)
    history.tidy(later)
    assert len(kept(agent, 60)) == 5
    for left in (3, 1, 0):
        history.tidy(NOON + timedelta(minutes=30))
        assert len(kept(agent, 2)) == left


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(2, timedelta(minutes=15)), (60, timedelta(hours=24)), (900, timedelta(days=7))],
)
def test_what_is_too_old_is_forgotten(agent, seconds, age):
    sample(agent, NOON - age - timedelta(seconds=1), seconds)
    young = sample(agent, NOON - age, seconds)
    history.tidy(NOON)
    assert kept(agent, seconds) == [young]


@pytest.fixture
def running(transactional_db, agent, containers):
    client_of(agent.owner).post("/api/agents/scribe/start")
    agent.refresh_from_db()
    return agent, containers.inspect(agent.container_id)


async def test_the_sampler_records_what_runs(running):
    agent, container = running
    writer = Writer()
    sampler = Sampler(writer)
    sampler.saw(agent, container)
    for _ in range(2):
        await sampler.sample()
    writer.close()
    rows = await read(list, Sample.objects.order_by("at"))
    assert [(row.agent_id, row.interval_seconds) for row in rows] == [(agent.pk, 2)] * 2
    assert [row.memory_used_bytes for row in rows] == [1024, 1024]
    assert [row.cpu_percent for row in rows] == [None, 0]
