"""From bytes, however they arrive, to lines of text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.output.lines import LINE_BYTES, LineSplitter, decode

# Short pieces that meet at every border there is: of lines, of long lines, of characters.
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"\xff", "é".encode(), "€😀".encode()]),
        st.integers(LINE_BYTES - 5, LINE_BYTES + 5).map(lambda size: b"x" * size),
    ),
    max_size=12,
)


def lines_of(parts):
    splitter = LineSplitter()
    fed = [line for part in parts for line in splitter.feed(part)]
    return fed + splitter.finish()


def cut(stream, places):
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(borders)]


@given(PIECES, st.lists(st.integers(0, 10**6), max_size=10))
def test_any_split_of_the_bytes_gives_the_same_lines(pieces, places):
    stream = b"".join(pieces)
    assert lines_of(cut(stream, places)) == lines_of([stream])


@given(PIECES)
def test_no_line_is_longer_than_the_bound_and_none_holds_what_cannot_be_stored(pieces):
    for line in lines_of([b"".join(pieces)]):
        assert len(line) <= LINE_BYTES
        assert "\n" not in line
        assert "\0" not in line
        line.encode()


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))))
def test_lines_come_out_as_they_were_written(lines):
    assert lines_of(["".join(f"{line}\n" for line in lines).encode()]) == lines


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(0, 4))
def test_a_rest_that_is_kept_goes_on_in_another_splitter(parts, place):
    first = LineSplitter()
    lines = [line for part in parts[:place] for line in first.feed(part)]
    second = LineSplitter(first.rest)
    lines += [line for part in parts[place:] for line in second.feed(part)]
    assert lines + second.finish() == lines_of(parts)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [LINE_BYTES, 2 * LINE_BYTES])
def test_a_line_of_exactly_the_bound_is_followed_by_no_empty_one(size, end):
    stream = b"x" * size + end
    whole = [LINE_BYTES] * (size // LINE_BYTES)
    assert [len(line) for line in lines_of([stream])] == whole
    in_parts = [stream[:size], *(bytes([byte]) for byte in end)]
    assert [len(line) for line in lines_of(in_parts)] == whole


def test_a_long_line_is_not_cut_inside_a_character():
    text = "x" * (LINE_BYTES - 1) + "€" * 3
    assert "".join(lines_of([text.encode() + b"\n"])) == text


def test_undecodable_bytes_and_nul_are_replaced():
    assert decode(b"a\xffb\0c") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_the_end_without_a_newline_is_a_line_and_comes_once():
    splitter = LineSplitter()
    assert splitter.feed(b"a\nb") == ["a"]
    assert splitter.finish() == ["b"]
    assert splitter.finish() == []
