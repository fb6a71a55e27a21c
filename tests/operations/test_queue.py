"""What is above the limits waits in order, or is refused; places are given by the supervisor."""

import asyncio
import itertools
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents.database import read
from agents.models import Activity
from operations import queue, requests
from operations.errors import QueueFull
from operations.models import Operation
from operations.requests import NewOperation
from tests.factories import client_of, make_agent, make_operation, make_running_agent, make_user
from tests.operations.driving import ENDLESS, begin, executing, finished, until
from trinity.audit import SYSTEM, Actor
from trinity.encryption import seal

pytestmark = pytest.mark.django_db(transaction=True)

ADA, BOB = "0x" + "a" * 40, "0x" + "b" * 40


@pytest.fixture
def busy():
    """A recorded agent with one operation that takes its place."""
    agent = make_running_agent(name="busy")
    make_operation(agent=agent, requester=agent.owner, status="processing")
    return agent


def ask(agent, **fields):
    fields = {"agent": agent.name, "command": ["true"], **fields}
    return client_of(agent.owner).post("/api/v1/operations", fields)


def position(operation, user=None):
    told = client_of(user or operation.agent.owner).get(f"/api/v1/operations/{operation.pk}").json()
    return told["status"], told["queue_position"]


def admitted(host):
    queue.admit(host.pk)
    return list(Operation.objects.filter(status="starting", admitted_at__isnull=False))


async def test_what_waits_begins_when_a_place_is_free(agent, settings):
    settings.TRINITY_OPERATIONS_PER_AGENT = 1
    first = await begin(agent, *ENDLESS)
    second = await begin(agent, "true")
    async with executing(agent) as executions:
        await until(lambda: Operation.objects.filter(pk=first.pk, status="processing").exists())
        await asyncio.sleep(0)
        assert await read(lambda: Operation.objects.get(pk=second.pk).is_waiting)
        await read(requests.cancel, first, SYSTEM)
        executions.wake()
        assert (await finished(second)).status == "succeeded"
    await read(first.refresh_from_db)
    assert second.started_at > first.finished_at


@pytest.mark.parametrize("limit", ["AGENT", "USER", "HOST"])
def test_each_limit_keeps_others_waiting(busy, settings, limit):
    setattr(settings, f"TRINITY_OPERATIONS_PER_{limit}", 1)
    waits = make_operation(agent=busy, requester=busy.owner)
    assert admitted(busy.host) == []
    Operation.objects.filter(status="processing").update(status="succeeded")
    assert admitted(busy.host) == [waits]


def test_another_agent_is_not_held_up(busy, settings):
    settings.TRINITY_OPERATIONS_PER_AGENT = 1
    make_operation(agent=busy)
    other = make_operation()
    assert admitted(busy.host) == [other]


def test_the_place_in_the_line_is_told(busy, settings):
    settings.TRINITY_OPERATIONS_PER_HOST = 1
    mine = [make_operation(agent=busy, requester=busy.owner) for _ in range(3)]
    stranger = make_user()
    theirs = make_operation(agent=busy, requester=stranger)
    queue.admit(busy.host_id)
    assert [position(each) for each in mine] == [("starting", place) for place in (1, 3, 4)]
    assert position(theirs) == ("starting", 2)
    listed = client_of(busy.owner).get("/api/v1/operations").json()
    assert [each["queue_position"] for each in listed] == [2, 4, 3, 1, None]


def test_what_runs_has_no_place_in_the_line(busy):
    [operation] = Operation.objects.all()
    assert position(operation) == ("processing", None)


def test_turns_are_remembered_when_another_supervisor_takes_over(busy, settings):
    settings.TRINITY_OPERATIONS_PER_HOST = 1
    Operation.objects.update(status="succeeded", admitted_at=timezone.now())
    mine = make_operation(agent=busy, requester=busy.owner)
    theirs = make_operation(agent=busy, requester=make_user())
    # Nothing but the database tells that busy's owner had the last turn.
    assert admitted(busy.host) == [theirs]
    theirs.finish(Operation.Status.SUCCEEDED)
    assert admitted(busy.host) == [mine]


def test_each_signer_has_turns_and_limits_of_his_own(busy, settings):
    settings.TRINITY_OPERATIONS_PER_USER = 1
    settings.TRINITY_OPERATIONS_PER_HOST = 3
    mine = [make_operation(agent=busy, signer=ADA) for _ in range(3)]
    theirs = [make_operation(agent=busy, signer=BOB) for _ in range(2)]
    assert set(admitted(busy.host)) == {mine[0], theirs[0]}
    assert [position_of(each) for each in (mine[1], theirs[1], mine[2])] == [1, 2, 3]
    for each in (theirs[0], mine[0]):
        each.finish(Operation.Status.SUCCEEDED)
    settings.TRINITY_OPERATIONS_PER_HOST = 2
    Operation.objects.filter(pk=mine[0].pk).update(admitted_at=timezone.now())
    # Ada had the last turn.
    assert admitted(busy.host) == [theirs[1]]


def position_of(operation):
    operation.refresh_from_db()
    return queue.positions([operation]).get(operation.pk)


def test_one_signer_does_not_fill_the_queue_for_others(busy, settings):
    settings.TRINITY_QUEUE_PER_USER = 1
    new = NewOperation(command=["true"])
    for signer in (ADA, BOB):
        requests.request_operation(busy, Actor(signer=signer), new)
        with pytest.raises(QueueFull):
            requests.request_operation(busy, Actor(signer=signer), new)


def test_who_waits_and_is_cancelled_ends_at_once(busy, settings):
    settings.TRINITY_OPERATIONS_PER_AGENT = 1
    new = NewOperation(command=["true"], env={"A": "b"})
    operation = requests.request_operation(busy, Actor(busy.owner), new)
    answer = client_of(busy.owner).post(f"/api/v1/operations/{operation.pk}/cancel")
    assert answer.status_code == 204
    operation.refresh_from_db()
    assert (operation.status, bytes(operation.environment)) == ("canceled", b"")
    assert position(operation) == ("canceled", None)
    assert Activity.objects.get().activity_state == Activity.State.FAILED
    assert admitted(busy.host) == []
    again = client_of(busy.owner).post(f"/api/v1/operations/{operation.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "finished")


def test_who_has_a_place_is_not_ended_behind_the_supervisors_back():
    operation = make_operation()
    assert operation.admit()
    assert not operation.cancel_waiting()
    assert not operation.admit()
    operation.request_cancel()
    operation.refresh_from_db()
    assert operation.status == "starting"


def test_who_has_ended_gets_no_place():
    operation = make_operation()
    assert operation.cancel_waiting()
    assert not operation.admit()


@pytest.mark.parametrize("limit", ["USER", "HOST"])
def test_a_full_queue_refuses(busy, settings, limit):
    setattr(settings, f"TRINITY_QUEUE_PER_{limit}", 2)
    assert [ask(busy).status_code for _ in range(3)] == [202, 202, 429]
    answer = ask(busy)
    assert answer.json()["code"] == "queue_full"
    assert int(answer.headers["Retry-After"]) > 0
    # What was refused has left nothing.
    assert Operation.objects.waiting().count() == Activity.objects.count() == 2


def test_one_person_does_not_fill_the_queue_for_others(busy, settings):
    settings.TRINITY_QUEUE_PER_USER = 1
    other = make_running_agent()
    assert [ask(busy).status_code, ask(busy).status_code, ask(other).status_code] == [202, 429, 202]


@pytest.mark.parametrize("status", ["stopped", "stopping", "error", "missing"])
def test_what_waits_for_an_agent_that_stops_fails(status):
    agent = make_agent(status=status)
    operation = make_operation(agent=agent, environment=seal({"A": "b"}))
    [ended], _ = queue.admit(agent.host_id)
    operation.refresh_from_db()
    assert ended.operation == operation
    assert (operation.status, operation.error) == ("failed", "start_failed")
    assert operation.summary == f"The agent was {status} before the operation could begin"
    assert bytes(operation.environment) == b""


@pytest.mark.parametrize(
    "fields", [{"status": "starting"}, {"status": "stopping", "verb": "restart"}]
)
def test_what_waits_for_an_agent_that_comes_up_waits_on(fields):
    agent = make_agent(**fields)
    operation = make_operation(agent=agent)
    assert queue.admit(agent.host_id) == ([], [])
    assert admitted(agent.host) == []
    agent.record(status="running", verb="")
    assert admitted(agent.host) == [operation]


async def test_who_watches_is_told_that_it_failed(agent):
    operation = await begin(agent, "true")
    await read(agent.record, status="stopped")
    async with executing(agent):
        await finished(operation)
    assert operation.status == "failed"


def test_an_isolated_one_waits_for_the_engine_and_not_for_ever(busy):
    isolated = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
    operation = make_operation(agent=busy, **isolated)
    busy.host.record_away("gone")
    assert queue.admit(busy.host_id)[0] == admitted(busy.host) == []
    long_ago = timezone.now() - queue.ENGINE_PATIENCE - timedelta(seconds=1)
    type(busy.host).objects.update(away_since=long_ago)
    # It was asked for only just now.
    assert queue.admit(busy.host_id)[0] == []
    Operation.objects.filter(pk=operation.pk).update(created_at=long_ago)
    queue.admit(busy.host_id)
    operation.refresh_from_db()
    assert (operation.status, operation.error) == ("failed", "engine_unavailable")


def test_containers_of_their_own_are_fewer(busy, settings):
    settings.TRINITY_ISOLATED_PER_HOST = 1
    isolated = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}
    first, _second = [make_operation(agent=busy, **isolated) for _ in range(2)]
    assert admitted(busy.host) == [first]


async def test_forty_at_once_with_room_for_three_all_end(agent, settings):
    settings.TRINITY_OPERATIONS_PER_AGENT = 3
    operations = [await begin(agent, "sh", "-c", "sleep 0.05") for _ in range(40)]
    most = 0
    async with executing(agent):
        while await read(lambda: Operation.objects.unfinished().exists()):
            _, placed = await read(queue.standing, agent.host_id)
            most = max(most, len(placed))
            await asyncio.sleep(0.01)
    assert most == 3
    ended = await read(lambda: list(Operation.objects.order_by("admitted_at")))
    assert {each.status for each in ended} == {"succeeded"}
    # One person's begin in the order in which they came.
    assert ended == operations


def test_the_queries_are_as_many_for_two_as_for_thirty(busy, django_assert_num_queries, settings):
    settings.TRINITY_OPERATIONS_PER_HOST = 1
    for count in (2, 28):
        for number in range(count):
            make_operation(agent=busy, requester=make_user())
            make_operation(agent=busy, signer=f"0x{number}")
        with django_assert_num_queries(3):
            queue.admit(busy.host_id)
        waiting = list(Operation.objects.waiting().select_related("agent"))
        with django_assert_num_queries(3):
            assert len(queue.positions(waiting)) == len(waiting)


def test_a_chat_is_refused_likewise(busy, settings):
    settings.TRINITY_QUEUE_PER_USER = 1
    type(busy).objects.update(prompt_command=["echo"])
    assert ask(busy).status_code == 202
    answer = client_of(busy.owner).post("/api/agents/busy/chat", {"message": "hello"})
    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")


@contextmanager
def before_query(number, act):
    """Do something that another process does at that moment."""
    queries = itertools.count(1)

    def look(execute, *query):
        if next(queries) == number:
            act()
        return execute(*query)

    with connection.execute_wrapper(look):
        yield


# The line, the operation, its end.
@pytest.mark.parametrize("moment", [2, 3])
def test_one_that_goes_with_its_agent_keeps_none_from_being_ended(moment):
    agent, other = make_agent(), make_agent()
    gone, left = make_operation(agent=agent), make_operation(agent=other)
    with before_query(moment, gone.delete):
        ended, _placed = queue.admit(agent.host_id)
    assert [each.operation for each in ended] == [left]
    left.refresh_from_db()
    assert (left.status, left.error) == ("failed", "start_failed")


def test_one_that_is_cancelled_meanwhile_is_not_told_of_by_the_queue():
    operation = make_operation(agent=make_agent())
    with before_query(3, operation.cancel_waiting):
        assert queue.admit(operation.agent.host_id) == ([], [])
    operation.refresh_from_db()
    assert operation.status == "canceled"


@pytest.mark.parametrize("ending", ["cancel_waiting", "delete"])
def test_one_that_ends_while_it_waits_for_its_turn_gets_no_place(ending):
    operation = make_operation()
    with before_query(2, getattr(operation, ending)):
        assert queue.admit(operation.agent.host_id) == ([], [])
