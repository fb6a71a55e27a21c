"""The lease of a host: one supervisor acts on an engine, and each has an epoch of its own."""

import subprocess
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from agents import process
from agents.models import Host
from tests.parallel import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def host():
    return Host.objects.local()


def test_whoever_comes_first_takes_it_and_the_others_do_not(host):
    assert host.take_lease("one") == 1
    assert host.take_lease("two") is None
    assert Host.objects.local().lease_holder == "one"


def test_a_lease_that_ran_out_goes_to_the_next_with_a_higher_epoch(host):
    host.take_lease("one")
    Host.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert Host.objects.local().take_lease("two") == 2


def test_a_renewed_lease_lasts(host):
    epoch = host.take_lease("one")
    Host.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    assert host.renew_lease(epoch)
    assert Host.objects.local().take_lease("two") is None


def test_a_lease_that_was_taken_over_cannot_be_renewed_or_released(host):
    epoch = host.take_lease("one")
    Host.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    Host.objects.local().take_lease("two")
    assert not host.renew_lease(epoch)
    host.release_lease(epoch)
    assert Host.objects.local().lease_holder == "two"


def test_a_lease_that_was_given_back_is_free_at_once(host):
    host.release_lease(host.take_lease("one"))
    assert Host.objects.local().take_lease("two") == 2


def test_the_lease_of_a_process_that_has_ended_is_free_at_once(host):
    with subprocess.Popen(["sleep", "60"]) as child:
        holder = process.holder(child.pid)
        assert host.take_lease(holder) == 1
        assert Host.objects.local().take_lease("two") is None
        child.kill()
    assert Host.objects.local().take_lease("two") == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_that_take_it_at_once_one_has_it():
    Host.objects.local()
    epochs = at_once(*(lambda name=name: Host.objects.local().take_lease(name) for name in "ab"))
    assert sorted(map(str, epochs)) == ["1", "None"]


def test_an_engine_that_is_away_is_news_once(host):
    assert host.record_away("stopped")
    since = host.away_since
    assert not Host.objects.local().record_away("still stopped")
    host.refresh_from_db()
    assert (host.away_since, host.away_reason) == (since, "stopped")
    assert host.record_here(engine_id="x", cpus=2, memory_bytes=1024**3)
    assert not host.record_here(engine_id="x", cpus=2, memory_bytes=1024**3)
    assert Host.objects.local().away_since is None


def test_who_lost_the_lease_says_nothing_of_the_engine(host):
    epoch = host.take_lease("one")
    Host.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    Host.objects.local().take_lease("two")
    assert not host.record_away("it did not answer in time", epoch=epoch)
    assert Host.objects.local().away_since is None
    Host.objects.local().record_away("stopped", epoch=epoch + 1)
    assert not host.record_here(engine_id="x", cpus=2, memory_bytes=1024**3, epoch=epoch)
    assert Host.objects.local().away_reason == "stopped"
