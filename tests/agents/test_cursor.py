"""Where a container's log goes on after a restart: no entry twice, none left out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from agents.output.container_logs import LOST, Cursor, skipping
from agents.runtime import LogEntry

# Few times, so that many entries share one.
ENTRIES = st.lists(
    st.tuples(st.integers(1, 3), st.booleans(), st.binary(max_size=6)), max_size=12
).map(lambda found: [LogEntry(*entry) for entry in sorted(found, key=lambda entry: entry[0])])


def stored_and_loaded(cursor):
    return Cursor.load(cursor.container_id, json.loads(json.dumps(cursor.dump())))


async def read_on(cursor, entries, batch_size):
    """What the engine gives from the cursor's time on, without what was stored before."""

    async def engine():
        since = [entry for entry in entries if entry.time_ns >= cursor.time_ns]
        for start in range(0, len(since), batch_size):
            yield since[start : start + batch_size]

    unseen = skipping(engine(), cursor.time_ns, cursor.sharing)
    return [entry async for batch in unseen for entry in batch]


@given(ENTRIES, st.integers(0, 12), st.integers(1, 4))
async def test_reading_on_after_any_entry_gives_the_rest_of_the_lines(entries, place, batch_size):
    whole = Cursor("c")
    expected = whole.take(entries) + whole.finish()
    first = Cursor("c")
    lines = first.take(entries[:place])
    second = stored_and_loaded(first)
    rest = await read_on(second, entries, batch_size)
    assert rest == entries[place:]
    assert lines + second.take(rest) + second.finish() == expected


def test_unfinished_lines_of_both_streams_are_kept():
    cursor = Cursor("c")
    entries = [LogEntry(1, False, b"o\xc3"), LogEntry(2, True, b"err")]
    assert cursor.take(entries) == []
    cursor = stored_and_loaded(cursor)
    assert cursor.take([LogEntry(3, False, b"\xa9\n")]) == [(False, "oé")]
    assert cursor.finish() == [(True, "err")]


def test_another_containers_log_begins_anew():
    cursor = Cursor("old")
    cursor.take([LogEntry(5, False, b"rest")])
    cursor = Cursor.load("new", cursor.dump())
    assert (cursor.container_id, cursor.time_ns, cursor.sharing) == ("new", 0, 0)
    assert cursor.finish() == []


def test_a_log_without_a_cursor_begins_at_its_beginning():
    assert Cursor.load("c", {}).time_ns == 0


async def test_a_line_says_where_the_engine_has_dropped_what_was_not_read():
    cursor = Cursor("c", time_ns=5, sharing=1)
    entries = [LogEntry(7, False, b"seven\n"), LogEntry(8, False, b"eight\n")]
    read = await read_on(cursor, entries, batch_size=1)
    assert read == [LOST, *entries]
    (_, told), *rest = cursor.take(read)
    assert "dropped unread" in told
    assert rest == [(False, "seven"), (False, "eight")]
    assert (cursor.time_ns, cursor.sharing) == (8, 1)


async def test_no_line_says_so_where_all_was_read():
    cursor = Cursor("c", time_ns=5, sharing=1)
    assert await read_on(cursor, [LogEntry(5, False, b"five\n")], batch_size=1) == []
    entries = [LogEntry(5, False, b"five\n"), LogEntry(7, False, b"seven\n")]
    assert await read_on(cursor, entries, batch_size=1) == entries[1:]
