"""One verb at a time: the claim on an agent, and who may end one that was left behind."""

import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from agents import process
from agents.errors import Busy
from agents.models import Agent
from tests.factories import make_agent
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

Verb = Agent.Verb


def test_a_claim_keeps_others_out_until_it_is_released():
    agent = make_agent()
    agent.claim(Verb.START)
    other = Agent.objects.get(pk=agent.pk)
    assert (other.verb, other.verb_holder) == ("start", process.HOLDER)
    with pytest.raises(Busy):
        other.claim(Verb.STOP)
    agent.release(status="running")
    other.claim(Verb.STOP)
    assert (other.verb, other.status) == ("stop", "running")


def test_a_release_and_its_outcome_are_one_write(django_assert_num_queries):
    agent = make_agent()
    agent.claim(Verb.START)
    with django_assert_num_queries(1):
        agent.release(status="running", started_at=timezone.now())


def test_a_record_leaves_what_others_write():
    agent = make_agent(description="old")
    Agent.objects.filter(pk=agent.pk).update(description="new")
    agent.record(status="running")
    agent.refresh_from_db()
    assert (agent.description, agent.status) == ("new", "running")


def test_a_new_status_forgets_the_reason_of_the_one_before():
    agent = make_agent(status_reason="exit code 3")
    agent.record(status="running")
    agent.refresh_from_db()
    assert agent.status_reason == ""
    assert timezone.now() - agent.status_at < timedelta(seconds=10)


def test_a_holder_is_gone_when_its_process_has_ended():
    child = subprocess.Popen(["sleep", "60"])
    holder = process.holder(child.pid)
    assert not process.is_gone(holder)
    child.kill()
    child.wait()
    assert process.is_gone(holder)


def test_a_process_that_nobody_has_waited_for_yet_is_gone():
    child = subprocess.Popen(["sleep", "60"])
    holder = process.holder(child.pid)
    child.kill()
    wait_until(lambda: process.is_gone(holder))
    child.wait()


def test_another_process_of_the_same_number_is_not_the_holder():
    boot, pid, start = process.HOLDER.split(":")
    assert not process.is_gone(process.HOLDER)
    assert process.is_gone(f"{boot}:{pid}:{int(start) - 1}")


def test_of_another_machine_nothing_is_known():
    _, pid, start = process.HOLDER.split(":")
    assert not process.is_gone(f"00000000-0000-0000-0000-000000000000:{pid}:{start}")


@pytest.mark.parametrize("name", ["", "rubbish", "a:b:c", ":::"])
def test_a_name_that_is_none_is_not_gone(name):
    assert not process.is_gone(name)
