"""An operation's log holds so many bytes of text, to the byte; then one line says so."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Log
from agents.output import lines as lines_module
from agents.output import logs
from agents.output.lines import LineSplitter

pytestmark = pytest.mark.django_db

LINES = st.lists(st.text("aé€😀", max_size=10), max_size=12)
CAP = st.integers(0, 80)


def stored(log):
    return [line for _, line in logs.lines_after(log.pk, 0, 10**6)]


def parts_of(whole, places):
    borders = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[start:end] for start, end in pairwise(borders)]


def expected(lines, cap):
    """What is kept of the lines, and whether anything is left out."""
    text = "".join(f"{line}\n" for line in lines).encode()
    if len(text) <= cap:
        return lines, False
    # Half a character at the cut is none.
    kept = text[:cap].decode(errors="ignore").split("\n")
    return [*(kept if kept[-1] else kept[:-1]), logs.TRUNCATED], True


@given(LINES, CAP, st.lists(st.integers(0, 12), max_size=4))
def test_it_holds_the_first_bytes_whatever_comes_together(lines, cap, places):
    log = Log.objects.create()
    for part in parts_of(lines, places):
        logs.append(log.pk, [(False, line) for line in part], {}, cap_bytes=cap)
    log.refresh_from_db()
    assert (stored(log), log.truncated) == expected(lines, cap)
    assert log.last_seq == len(stored(log))


@given(LINES, CAP)
def test_nothing_follows_the_line_that_says_so(lines, cap):
    log = Log.objects.create()
    logs.append(log.pk, [(False, line) for line in lines], {}, cap_bytes=cap, is_cut=True)
    before = stored(log)
    logs.append(log.pk, [(False, "more")], {}, cap_bytes=cap, is_cut=True)
    assert stored(log) == before
    assert before.count(logs.TRUNCATED) == 1
    assert before[-1] == logs.TRUNCATED


@given(
    st.lists(st.sampled_from([b"ab", b"\r", b"\n", b"\r\n", b"\xff", "é€".encode(), b"x" * 9])),
    CAP,
    st.lists(st.integers(0, 10**4), max_size=6),
)
def test_how_the_bytes_arrive_makes_no_difference(pieces, cap, places):
    whole = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lines_module, "LINE_BYTES", 8)
        found = [written(parts, cap) for parts in (parts_of(whole, places), [whole])]
    assert found[0] == found[1]


def written(parts, cap):
    log, splitter = Log.objects.create(), LineSplitter()
    for part in parts:
        logs.append(log.pk, [(False, line) for line in splitter.feed(part)], {}, cap_bytes=cap)
    logs.append(log.pk, [(False, line) for line in splitter.finish()], {}, cap_bytes=cap)
    return stored(log)


@given(st.lists(st.tuples(st.booleans(), st.text("ab", max_size=3)), max_size=20))
def test_what_came_by_standard_error_is_told_apart_in_the_order_of_the_lines(lines):
    log = Log.objects.create()
    logs.append(log.pk, lines, {})
    assert stored(log) == [text for _, text in lines]
    standard = "\n".join(text for is_stderr, text in lines if not is_stderr)
    assert logs.standard_output(log.pk, 10**6) == (standard, True)
