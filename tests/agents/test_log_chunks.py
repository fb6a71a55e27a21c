"""Lines are appended with numbers, up to the cap, and read from any number on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.models import Log, LogChunk
from agents.output import logs
from agents.output.logs import TRUNCATED, _fit

pytestmark = pytest.mark.django_db

CAP = 10_000_000


@pytest.fixture
def log():
    return Log.objects.create()


def append(log, *lines, **options):
    return logs.append(log.pk, [(False, line) for line in lines], {}, **options).last_seq


def text_of(log):
    return [line for _, line in logs.lines_after(log.pk, 0, 10**6)]


def test_lines_are_numbered_from_one_on(log):
    assert append(log, "a", "b") == 2
    assert append(log, "c") == 3
    assert logs.lines_after(log.pk, 0, 10) == [(1, "a"), (2, "b"), (3, "c")]
    log.refresh_from_db()
    assert (log.last_seq, log.byte_count, log.truncated) == (3, 6, False)


def test_empty_lines_are_lines(log):
    append(log, "", "")
    append(log, "")
    append(log, "a", "")
    assert text_of(log) == ["", "", "", "a", ""]
    assert logs.tail(log.pk, 2) == (["a", ""], 5)


def test_a_cursor_is_recorded_also_without_lines(log):
    assert logs.append(log.pk, [], {"at": 5}) == (0, None)
    log.refresh_from_db()
    assert log.cursor == {"at": 5}
    assert not LogChunk.objects.exists()


@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize("count", [1, 3, 100])
def test_any_place_can_be_read_from(log, after, count):
    for size in (1, 3, 2):
        append(log, *"abc"[:size])
    expected = list(enumerate(["a", "a", "b", "c", "a", "b"], 1))[after : after + count]
    assert logs.lines_after(log.pk, after, count) == expected


@pytest.mark.parametrize("count", range(1, 8))
def test_the_tail_is_the_end_of_the_whole(log, count):
    for size in (1, 3, 2):
        append(log, *"abc"[:size])
    assert logs.tail(log.pk, count) == (["a", "a", "b", "c", "a", "b"][-count:], 6)


def test_the_first_and_last_numbers_are_known(log):
    assert (logs.first_seq(log.pk), logs.last_seq(log.pk)) == (0, 0)
    append(log, "a", "b")
    assert (logs.first_seq(log.pk), logs.last_seq(log.pk)) == (1, 2)


def test_which_stream_a_line_came_by_is_kept_in_runs(log):
    logs.append(log.pk, [(True, "a"), (True, "b"), (False, "c"), (True, "d")], {})
    logs.append(log.pk, [(False, "e"), (True, "f")], {})
    logs.append(log.pk, [(False, "g")], {})
    assert list(LogChunk.objects.order_by("pk").values_list("streams", flat=True)) == [
        "0,2,1,1",
        "1,1",
        "",
    ]


def test_a_log_ends_at_the_cap_to_the_byte_with_one_line_that_says_so(log):
    line = "x" * 65_535
    for _ in range(CAP // 65_536 + 2):
        append(log, line, cap_bytes=CAP)
    *kept, marker = text_of(log)
    assert marker == TRUNCATED
    assert len("\n".join(kept).encode()) == CAP
    log.refresh_from_db()
    assert log.truncated


def test_what_fills_the_cap_exactly_is_whole(log):
    append(log, "x" * 9, cap_bytes=10)
    log.refresh_from_db()
    assert (text_of(log), log.truncated) == (["x" * 9], False)
    append(log, "more", cap_bytes=10)
    assert text_of(log) == ["x" * 9, TRUNCATED]


def test_behind_the_cap_nothing_follows_but_the_source_goes_on(log):
    append(log, "x" * 20, cap_bytes=10)
    last, _ = logs.append(log.pk, [(False, "more")], {"at": 9}, cap_bytes=10)
    assert text_of(log) == ["x" * 10, TRUNCATED]
    log.refresh_from_db()
    assert (last, log.last_seq, log.cursor) == (2, 2, {"at": 9})


@given(
    st.lists(st.tuples(st.booleans(), st.text("aé€😀", max_size=6)), max_size=8),
    st.integers(0, 60),
)
def test_what_fits_is_a_prefix_of_what_was_there(lines, room):
    kept, is_cut = _fit(lines, room)
    whole = "".join(f"{text}\n" for _, text in lines).encode()
    assert is_cut == (len(whole) > room)
    if not is_cut:
        assert kept == lines
        return
    assert kept[-1] == (False, TRUNCATED)
    text = "\n".join(text for _, text in kept[:-1]).encode()
    assert len(text) <= room
    assert whole.startswith(text)
    # A newline and less than one character are all that is given away.
    assert room - len(text) <= 4
