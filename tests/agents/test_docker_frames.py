"""Docker's log stream is cut into its entries wherever the network split it."""

import struct
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agents.docker_runtime.frames import FrameParser
from agents.runtime import LogEntry

ENTRIES = st.lists(
    st.builds(
        LogEntry,
        time_ns=st.integers(0, 4_000_000_000_000_000_000),
        is_stderr=st.booleans(),
        text=st.binary(max_size=40),
    ),
    max_size=8,
)


def frame(entry):
    seconds, nanoseconds = divmod(entry.time_ns, 1_000_000_000)
    stamp = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z "
    payload = stamp.encode() + entry.text
    return struct.pack("!BxxxI", 2 if entry.is_stderr else 1, len(payload)) + payload


@given(ENTRIES, st.lists(st.integers(0, 1000), max_size=10))
def test_any_split_of_the_stream_gives_the_same_entries(entries, places):
    stream = b"".join(map(frame, entries))
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    parser = FrameParser()
    parts = (stream[start:end] for start, end in pairwise(borders))
    assert [entry for part in parts for entry in parser.feed(part)] == entries


def test_an_entry_that_is_not_whole_yet_is_kept():
    entry = LogEntry(1, False, b"text\n")
    parser = FrameParser()
    assert parser.feed(frame(entry)[:-1]) == []
    assert parser.feed(frame(entry)[-1:]) == [entry]
