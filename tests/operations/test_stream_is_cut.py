"""Wherever a viewer's connection is cut, what it sees in the end is the log, each line once."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import live
from agents.database import read
from agents.output import logs
from operations import endings
from operations.models import Operation
from tests.factories import make_operation
from tests.operations.streams import viewing

pytestmark = pytest.mark.django_db(transaction=True)

BATCHES = st.lists(st.lists(st.text("ab\n\r\u2028é", max_size=6), max_size=4), max_size=5)
# After so many bytes of an answer the connection is gone: in its head, a line, a number.
CUTS = st.lists(st.integers(0, 300), max_size=8)


@settings(max_examples=40)
@given(BATCHES, CUTS, st.booleans())
async def test_any_cuts_give_each_line_once_and_one_end(batches, cuts, is_written_first):
    # A line holds no newline by itself.
    batches = [[line.replace("\n", "") for line in batch] for batch in batches]
    operation = await read(make_operation)
    writing = asyncio.create_task(write(operation, batches))
    if is_written_first:
        await writing
    seen, ends, last = [], [], None
    for cut in [*cuts, None]:
        for seq, event in await received(operation, last, cut):
            last = last if seq is None else seq
            if event["type"] == "log":
                seen.append((seq, event["content"]))
            if event["type"] == "end":
                ends.append((seq, event["status"]))
    await writing
    written = [line for batch in batches for line in batch]
    assert seen == list(enumerate(written, 1))
    assert ends == [(len(written) + 1, "succeeded")]
    # Which is when EventSource stops.
    assert await received(operation, last, None) == []


async def write(operation, batches):
    for batch in batches:
        if batch:
            rows = [(False, line) for line in batch]
            appended = await read(logs.append, operation.log_id, rows, {})
            await live.announce_growth(operation.log_id, appended.last_seq)
        await asyncio.sleep(0.002)
    await read(operation.finish, Operation.Status.SUCCEEDED)
    await endings.announce(operation)


async def received(operation, last, cut):
    """The events that arrived whole before the connection was cut."""
    position = {} if last is None else {"last_event_id": str(last)}
    text = b""
    async with viewing(
        operation.pk, await read(lambda: operation.agent.owner), **position
    ) as viewer:
        status, _ = await viewer.status()
        while cut is None or len(text) < cut:
            message = await viewer.next_message()
            text += message["body"]
            if not message.get("more_body"):
                break
    assert status == (204 if not text else 200) or cut == 0
    *whole, _ = text[:cut].decode(errors="ignore").split("\n\n")
    return [event for block in whole for event in parsed(block)]


def parsed(block):
    """As the standard of server-sent events has it, as far as it is used here."""
    fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
    if "data" in fields:
        yield int(fields["id"]) if "id" in fields else None, json.loads(fields["data"])
