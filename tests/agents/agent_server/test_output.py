"""What a program prints is kept as it came, up to the cap."""

import json
import sys

from tests.agents.agent_server.client import END, HEADER, STDERR, STDOUT, new_id


def test_output_and_errors_are_told_apart(client):
    out, err, end = client.run("sh", "-c", "echo to out; echo to err >&2; exit 3")
    assert (out, err) == (b"to out\n", b"to err\n")
    assert (end["exit_code"], end["reason"], end["truncated"]) == (3, "exited", False)


def test_bytes_that_are_no_text_pass_unchanged(client):
    out, _, _ = client.run("printf", r"\377\000\n\200")
    assert out == b"\xff\x00\n\x80"


def test_a_hundred_thousand_lines_come_whole_and_in_order(client):
    out, _, _ = client.run("seq", "100000")
    assert out == b"".join(b"%d\n" % number for number in range(1, 100_001))


def test_output_beyond_the_cap_is_discarded_and_the_program_runs_on(client):
    out, _, end = client.run(
        sys.executable, "-c", "print('x' * 3_000_000); exit(4)", output_cap_bytes=100_000
    )
    assert out == b"x" * 100_000
    assert (end["truncated"], end["exit_code"]) == (True, 4)


def test_attaching_in_the_middle_continues_without_gap_or_repetition(client):
    id = client.start("seq", "50000")
    records = list(client.attach(id))
    sizes = [size for _, _, size in records]
    for taken in (1, len(records) // 2, len(records) - 1):
        assert list(client.attach(id, sum(sizes[:taken]))) == records[taken:]


def test_the_spool_holds_what_went_over_the_wire(client, server):
    id = client.start("sh", "-c", "echo one; echo two >&2")
    records = list(client.attach(id))
    spool = (server.spool / "operations" / id / "output").read_bytes()
    kinds = []
    while spool:
        kind, _, length = HEADER.unpack_from(spool)
        kinds.append((kind, spool[HEADER.size :][:length]))
        spool = spool[HEADER.size + length :]
    assert sorted(kinds) == [(STDOUT, b"one\n"), (STDERR, b"two\n")]
    assert [(kind, payload) for kind, payload, _ in records[:-1]] == kinds
    kind, payload, _ = records[-1]
    recorded = (server.spool / "operations" / id / "end.json").read_bytes()
    assert (kind, json.loads(payload)) == (END, json.loads(recorded))


def test_an_offset_where_no_record_begins_is_refused(client):
    id = client.start("echo", "hello")
    client.finish(id)
    for offset in (1, 12, 10**6):
        assert client.ask("attach", id=id, offset=offset)["code"] == "bad_offset"


def test_an_unknown_operation_cannot_be_attached(client):
    assert client.ask("attach", id=new_id(), offset=0)["code"] == "unknown_operation"


def test_output_appears_while_the_program_runs(client):
    id = client.start("sh", "-c", "echo first; exec sleep 60")
    kind, payload, _ = next(client.attach(id))
    assert (kind, payload) == (STDOUT, b"first\n")
    client.signal(id, "KILL")


def test_a_program_that_removes_its_own_spool_still_ends(client):
    _, _, end = client.run("sh", "-c", 'rm -rf "$TRINITY_OUT/.."; echo gone')
    assert end["exit_code"] == 0
    assert client.ask("ping")["ok"]
