"""An agent's log keeps so many bytes of its newest lines; the oldest are dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Log
from agents.output import logs

pytestmark = pytest.mark.django_db

texts = st.lists(st.text("aé😀", max_size=12), min_size=1, max_size=4)


def stored_bytes(log):
    return sum(len(chunk.text.encode()) + 1 for chunk in log.chunks.all())


@given(st.lists(texts, min_size=1, max_size=12), st.integers(1, 120), st.integers(0, 60))
def test_what_is_kept_is_the_end_of_what_was_written_within_the_cap(batches, cap, after):
    log = Log.objects.create()
    for batch in batches:
        logs.append(log.pk, [(False, line) for line in batch], {}, keep_bytes=cap)
    log.refresh_from_db()
    written = list(enumerate((line for batch in batches for line in batch), 1))
    first = logs.first_seq(log.pk)
    kept = written[first - 1 :]

    assert log.last_seq == len(written)
    assert log.byte_count == stored_bytes(log)
    # The newest append stays, however large it is.
    assert log.byte_count <= cap or log.chunks.count() == 1
    marker = [(first - 1, logs.DROPPED)] if after < first - 1 else []
    found = logs.lines_after(log.pk, after, 1000)
    assert found == marker + [line for line in kept if line[0] > after]
    assert logs.tail(log.pk, len(kept)) == ([line for _, line in kept], len(written))


def test_no_more_is_dropped_than_a_share_below_the_cap():
    log = Log.objects.create()
    for _ in range(200):
        logs.append(log.pk, [(False, "x" * 9)], {}, keep_bytes=1600)
    log.refresh_from_db()
    assert 1500 <= log.byte_count <= 1600


def test_nothing_is_dropped_below_the_cap_and_other_logs_are_left_alone():
    log, other = Log.objects.create(), Log.objects.create()
    for each in (log, other):
        for _ in range(10):
            logs.append(each.pk, [(False, "x" * 9)], {}, keep_bytes=100)
    assert log.chunks.count() == 10
    logs.append(log.pk, [(False, "x" * 9)], {}, keep_bytes=100)
    assert log.chunks.count() < 11
    assert other.chunks.count() == 10


def test_a_cap_that_was_lowered_holds_from_the_next_line_on():
    log = Log.objects.create()
    for _ in range(50):
        logs.append(log.pk, [(False, "x" * 9)], {})
    logs.append(log.pk, [(False, "last")], {}, keep_bytes=32)
    log.refresh_from_db()
    assert log.byte_count == stored_bytes(log) <= 32
    assert log.last_seq == 51
