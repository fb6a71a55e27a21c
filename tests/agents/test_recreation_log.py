"""Whoever stores a container's log, and however many do: each line once, and in order."""

import asyncio
import re

import pytest
from django.db import transaction

from agents import engine, lifecycle, live
from agents.database import Writer, read
from agents.environment import Variable, set_variables
from agents.models import Agent, Log, LogChunk
from agents.output import logs
from agents.output.container_logs import Cursor, store_rest
from agents.output.followers import LogFollowers
from agents.runtime import LogEntry
from tests.factories import make_agent
from tests.operations.driving import until
from trinity.audit import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)

COUNTS = 'trap "echo end; exit" TERM; i=0; while :; do i=$((i+1)); echo $$ $i; done'


def stored_lines(agent):
    texts = LogChunk.objects.filter(log=agent.log_id).order_by("last_seq")
    return "\n".join(texts.values_list("text", flat=True)).split("\n")


def printed(container):
    return b"".join(entry.text for entry in container.log).decode().splitlines()


async def test_the_supervisor_and_the_process_that_recreates_store_it_together(containers):
    agent = await read(make_agent, name="scribe", command=["sh", "-c", COUNTS])
    await engine.do(lifecycle.start, agent, SYSTEM)
    live.use_loop(asyncio.get_running_loop())
    writer = Writer()
    followers = LogFollowers(writer)
    expected = []
    for number in range(3):
        old = containers._containers[agent.container_id]
        followers.follow(await read(Agent.objects.select_related("host").get, pk=agent.pk))
        await until(Log.objects.filter(pk=agent.log_id, last_seq__gt=len(expected) + 100).exists)
        await read(set_variables, agent, SYSTEM, [Variable("NUMBER", str(number))])
        await engine.do(lifecycle.restart, agent, SYSTEM)
        expected += printed(old)
    await asyncio.to_thread(containers.stop, agent.container_id)
    expected += printed(containers._containers[agent.container_id])
    await engine.do(store_rest, agent, agent.container_id)
    await followers.close()
    await asyncio.to_thread(writer.close)
    assert await read(stored_lines, agent) == expected
    assert len([line for line in expected if re.fullmatch(r"\d+ 1", line)]) == 4


def test_lines_that_another_has_stored_are_not_stored_again():
    log = Log.objects.create()
    first, second = Cursor.load("c", log.cursor), Cursor.load("c", log.cursor)
    append(log, first, [LogEntry(1, False, b"one\n")], after={})
    with pytest.raises(logs.Moved):
        append(log, second, [LogEntry(1, False, b"one\n")], after={})
    log.refresh_from_db()
    assert log.last_seq == 1


def append(log, cursor, entries, *, after):
    lines = cursor.take(entries)
    # It locks the log, which needs a transaction.
    with transaction.atomic():
        logs.append(log.pk, lines, cursor.dump(), after=after)


def test_a_container_that_is_gone_back_to_is_read_on_where_it_was_left():
    old = Cursor("old")
    old.take([LogEntry(5, False, b"rest"), LogEntry(5, True, b"error\n")])
    new = Cursor.load("new", old.dump())
    new.take([LogEntry(9, False, b"new\n")])
    again = Cursor.load("old", new.dump())
    assert (again.time_ns, again.sharing, again.finish()) == (5, 2, [(False, "rest")])
    assert Cursor.load("new", again.dump()).time_ns == 9
    # Only these two: a third is read from its beginning.
    assert Cursor.load("old", Cursor.load("third", new.dump()).dump()).time_ns == 0
