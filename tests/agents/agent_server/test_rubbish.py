"""Whatever a client sends, the server goes on serving the others."""

import os
import socket
from contextlib import suppress

import pytest

from tests.agents.agent_server.client import new_id, receive, send

RUBBISH = {
    "empty line": b"\n",
    "binary": os.urandom(5000),
    "binary line": os.urandom(3000).replace(b"\n", b"") + b"\n",
    "not json": b"GET / HTTP/1.1\r\n\r\n",
    "not an object": b"[1]\n",
    "deeply nested": b"[" * 4000 + b"\n",
    "number of many digits": b'{"challenge": ' + b"9" * 4000 + b"}\n",
    "challenge of wrong type": b'{"challenge": {}}\n',
    "challenge not hex": b'{"challenge": "' + b"z" * 64 + b'"}\n',
    "huge line": b"x" * 3_000_000 + b"\n",
    "no newline": b"x" * 3_000_000,
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH.keys())
def test_rubbish_before_the_handshake_is_cut_off(client, rubbish):
    with client.connect() as connection:
        try:
            connection.sendall(rubbish)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert client.ask("ping")["ok"]


@pytest.mark.parametrize(
    "request_line",
    [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"null\n", b"{" * 1_100_000 + b"\n", b"half a line"],
    ids=["binary", "nested", "null", "too long", "half"],
)
def test_a_rubbish_request_closes_its_connection_only(client, request_line):
    # The server may close while the line is still being sent.
    with suppress(BrokenPipeError, ConnectionResetError), client.authenticated() as stream:
        stream.write(request_line)
    assert client.ask("ping")["ok"]


GOOD = {"command": ["true"]}


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "../../../../../../etc/passwd"},
        {"id": 5},
        {"epoch": -1},
        {"epoch": True},
        {"epoch": 10**30},
        {"spec": None},
        {"spec": {"command": []}},
        {"spec": {"command": "true"}},
        {"spec": {"command": [1]}},
        {"spec": GOOD | {"env": {"A=B": "c"}}},
        {"spec": GOOD | {"env": {"A": 1}}},
        {"spec": GOOD | {"workdir": "../outside"}},
        {"spec": GOOD | {"workdir": "/etc"}},
        {"spec": GOOD | {"timeout_seconds": float("nan")}},
        {"spec": GOOD | {"timeout_seconds": -1}},
        {"spec": GOOD | {"output_cap_bytes": "many"}},
    ],
    ids=str,
)
def test_a_bad_field_is_refused_with_a_word(client, fields):
    request = {"id": new_id(), "epoch": 1, "spec": GOOD} | fields
    answer = client.ask("start", **request)
    assert (answer["ok"], answer["code"]) == (False, "bad_request")
    assert client.ask("ping")["operations"] == []


@pytest.mark.parametrize("verb", ["dance", None, 5, [], {}])
def test_an_unknown_verb_is_refused(client, verb):
    assert client.ask(verb)["code"] == "unknown_verb"


@pytest.mark.parametrize("text", ["nul\0byte", "\ud800"])
def test_text_no_program_can_be_given_ends_as_start_failed(client, text):
    _, _, end = client.run("echo", text)
    assert end["reason"] == "start_failed"


def test_a_client_that_closes_its_sending_half_still_gets_its_answer(client):
    connection = client.connect()
    with connection, connection.makefile("rwb") as stream:
        send(stream, {"challenge": "ab" * 32})
        proof = client.prove(f"client:{receive(stream)['challenge']}")
        send(stream, {"proof": proof})
        send(stream, {"verb": "ping"})
        connection.shutdown(socket.SHUT_WR)
        assert receive(stream)["ok"]


def test_a_hundred_connections_that_say_nothing_do_not_end_the_server(client):
    silent = [client.connect() for _ in range(100)]
    for connection in silent:
        connection.close()
    assert client.ask("ping")["ok"]
