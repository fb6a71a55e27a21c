"""Nobody is served before both ends have proved the key."""

import time

import pytest

from tests.agents.agent_server.client import Client, receive, send

CHALLENGE = "ab" * 32


def test_the_server_says_when_it_is_ready(server):
    assert server.first_line == "agent server ready, generation 7\n"


def test_a_ping_tells_generation_and_protocol(client):
    answer = client.ask("ping")
    assert answer.pop("uptime_seconds") >= 0
    assert answer == {"ok": True, "generation": 7, "protocol": 1, "operations": []}


def test_the_server_proves_the_key_first(client):
    with client.connect() as connection, connection.makefile("rwb") as stream:
        send(stream, {"challenge": CHALLENGE})
        hello = receive(stream)
    assert hello["proof"] == client.prove(f"server:{CHALLENGE}")
    assert (hello["protocol"], hello["generation"]) == (1, 7)


@pytest.mark.parametrize("proof", ["00" * 32, "é", "", None, 5, ["x"]])
def test_a_wrong_proof_closes_the_connection(client, proof):
    with client.connect() as connection, connection.makefile("rwb") as stream:
        send(stream, {"challenge": CHALLENGE})
        receive(stream)
        send(stream, {"proof": proof})
        assert stream.read() == b""


def test_a_client_with_another_key_learns_nothing(server):
    stranger = Client(server.client.path, b"f" * 64)
    with stranger.connect() as connection, connection.makefile("rwb") as stream:
        send(stream, {"challenge": CHALLENGE})
        hello = receive(stream)
        send(stream, {"proof": stranger.prove(f"client:{hello['challenge']}")})
        assert stream.read() == b""


def test_a_handshake_that_takes_too_long_is_cut_off(client):
    with client.connect() as connection:
        began = time.monotonic()
        assert connection.recv(1) == b""
    assert 4 < time.monotonic() - began < 30


def test_an_authenticated_connection_may_wait_with_its_request(client):
    with client.authenticated() as stream:
        time.sleep(5.5)
        send(stream, {"verb": "ping"})
        assert receive(stream)["ok"]
