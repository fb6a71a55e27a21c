"""A program can tell its result, and is then done, whether it ends or lingers."""

import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.image.agent_server.results import LINE_BYTES, NOTES, ResultReader, parse

LINE = json.dumps({"status": "ok", "summary": "All done", "notes": ["a", "b"]})
RESULT = {"status": "ok", "summary": "All done", "notes": ["a", "b"]}
DONE = f"{LINE}\n__AGENT_DONE__\n".encode()


def printing(text, then=""):
    return [
        sys.executable,
        "-c",
        f"import sys\nsys.stdout.write({text!r})\nsys.stdout.flush()\n{then}",
    ]


def end_of(client, *command, **spec):
    return client.run(*command, **spec)[2]


def test_a_result_is_told_with_the_end(client):
    end = end_of(client, *printing(DONE.decode()))
    assert (end["exit_code"], end["reason"], end["result"]) == (0, "exited", RESULT)


def test_a_program_that_tells_none_has_none(client):
    assert end_of(client, "echo", LINE)["result"] is None


def test_it_counts_on_standard_output_alone(client):
    end = end_of(client, *printing("", f"sys.stderr.write({DONE.decode()!r})"))
    assert end["result"] is None


def test_it_may_end_with_another_exit_code(client):
    end = end_of(client, *printing(DONE.decode(), "sys.exit(3)"))
    assert (end["exit_code"], end["reason"], end["result"]) == (3, "exited", RESULT)


@pytest.mark.parametrize("deaf", [False, True])
def test_a_program_that_lingers_is_ended(client, monkeypatch, deaf):
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if deaf else ""
    began = time.monotonic()
    end = end_of(client, *printing(DONE.decode(), ignoring + "import time; time.sleep(100)"))
    assert (end["exit_code"], end["reason"], end["result"]) == (-9 if deaf else -15, "done", RESULT)
    assert time.monotonic() - began < 60


def test_what_it_left_running_is_ended_too(client):
    end = end_of(client, "sh", "-c", f"sleep 100 & echo '{LINE}'; echo __AGENT_DONE__; wait")
    assert (end["reason"], end["result"]) == ("done", RESULT)


def test_it_counts_also_above_the_cap_of_the_output(client):
    flood = f"print('x' * 200_000); print({DONE.decode()!r}, end='')"
    stdout, _, end = client.run(*printing("", flood), output_cap_bytes=1000)
    assert len(stdout) == 1000
    assert (end["truncated"], end["result"]) == (True, RESULT)


def test_a_restarted_server_still_knows_it(server, client):
    operation = client.start(*printing(DONE.decode()))
    client.finish(operation)
    server.kill()
    server.start()
    assert client.finish(operation)[2]["result"] == RESULT


# The reader by itself


def found_in(*pieces):
    reader = ResultReader()
    for piece in pieces:
        if result := reader.feed(piece):
            return result
    return reader.finish()


NO_RESULTS = [
    b"",
    b"__AGENT_DONE__\n",
    LINE.encode(),
    b"rubbish\n__AGENT_DONE__\n",
    LINE.encode() + b"\n\n__AGENT_DONE__\n",
    LINE.encode() + b"__AGENT_DONE__\n",
    LINE.encode() + b"\n__AGENT_DONE__ \n",
    LINE.encode() + b"\n __AGENT_DONE__\n",
    b"x" + DONE,
    b"[" * 60_000 + b"\n__AGENT_DONE__\n",
    b'{"status": "ok"}\n__AGENT_DONE__\n',
    b'{"status": "fine", "summary": ""}\n__AGENT_DONE__\n',
    b'{"status": ["ok"], "summary": ""}\n__AGENT_DONE__\n',
    b'{"status": "ok", "summary": 1}\n__AGENT_DONE__\n',
    b'["ok"]\n__AGENT_DONE__\n',
    b'{"status": "ok", "summary": "' + b"x" * LINE_BYTES + b'"}\n__AGENT_DONE__\n',
]


@pytest.mark.parametrize("output", NO_RESULTS)
def test_what_is_no_result_is_output_like_any_other(output):
    assert found_in(output) is None
    # And takes nothing away from one that follows.
    assert found_in(output + b"\n" + DONE) == RESULT


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_its_lines_may_end_as_lines_do(ending):
    assert found_in(LINE.encode() + (ending or b"\n") + b"__AGENT_DONE__" + ending) == RESULT


@given(
    before=st.lists(st.sampled_from([b"x", b"\n", b"__AGENT_DONE__", b"y" * 70_000, b"\r\n"])),
    cuts=st.lists(st.integers(0, 400_000), max_size=20),
)
def test_it_is_found_however_the_output_is_cut(before, cuts):
    output = b"".join(before) + b"\n" + DONE
    places = sorted(min(cut, len(output)) for cut in cuts)
    pieces = [output[a:b] for a, b in zip([0, *places], [*places, len(output)], strict=True)]
    assert found_in(*pieces) == RESULT


def test_it_is_found_byte_by_byte():
    assert found_in(*(bytes([byte]) for byte in b"first\n" + DONE)) == RESULT


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_no_output_breaks_the_reader(pieces):
    found_in(*pieces, b"\n")


def test_it_holds_no_more_than_a_few_lines():
    reader = ResultReader()
    for _ in range(1000):
        assert reader.feed(b"x" * 65_536) is None
        assert len(reader._held) < 4 * LINE_BYTES


@given(
    st.dictionaries(
        st.sampled_from(["status", "summary", "notes"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["ok", "error"]),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        ),
    )
)
def test_whatever_a_line_says_a_result_has_its_shape_and_its_bounds(told):
    result = parse(json.dumps(told).encode())
    if result is not None:
        assert result["status"] in {"ok", "error"}
        assert isinstance(result["summary"], str)
        assert len(result["notes"]) <= NOTES
        assert all(isinstance(note, str) for note in result["notes"])


def test_what_is_too_long_is_cut():
    told = {"status": "error", "summary": "s" * 9000, "notes": ["n" * 900] * 30}
    result = parse(json.dumps(told).encode())
    assert (len(result["summary"]), [len(note) for note in result["notes"]]) == (4000, [500] * 20)
