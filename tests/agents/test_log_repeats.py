"""What Docker's follow gives twice behind a rotation is left out, and nothing else."""

import time

import pytest

from agents.docker_runtime.repeats import Repeats
from agents.runtime import LogEntry

LONG_AGO = 1_000_000


def out(at, text=b"line\n"):
    return LogEntry(LONG_AGO + at, False, text)


def err(at, text=b"line\n"):
    return LogEntry(LONG_AGO + at, True, text)


def kept(*batches):
    repeats = Repeats()
    return [entry for batch in batches for entry in repeats.left_out(batch)]


FILE = [out(1), err(2), out(3), err(4), out(5)]


@pytest.mark.parametrize("size", range(1, 6))
def test_a_file_that_is_read_again_gives_only_what_is_new(size):
    assert kept(FILE[:size], FILE) == FILE


@pytest.mark.parametrize("size", range(1, 6))
def test_however_it_is_cut_into_batches(size):
    read = [*FILE[:size], *FILE]
    assert kept(*([entry] for entry in read)) == FILE


def test_parts_of_a_long_line_share_a_time():
    parts = [out(1, b"begin"), out(1, b"middle"), out(1, b"end\n")]
    assert kept(parts, [out(2)]) == [*parts, out(2)]
    assert kept(parts, parts, [out(2)]) == [*parts, out(2)]


def test_the_two_streams_may_come_out_of_order():
    entries = [out(5), err(4), out(6), err(5)]
    assert kept(entries) == entries


def test_when_the_clock_is_set_back_lines_are_kept():
    ahead = time.time_ns() + 3600 * 10**9
    entries = [LogEntry(ahead, False, b"before\n"), LogEntry(ahead - 10**12, False, b"after\n")]
    assert kept(entries[:1], entries[1:]) == entries
