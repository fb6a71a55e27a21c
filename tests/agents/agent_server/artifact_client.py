"""The verb for artifacts as a client speaks it."""

import struct
from urllib.parse import unquote_to_bytes

from tests.agents.agent_server.client import receive, send

LENGTH = struct.Struct("!I")
SPOILT = 2**32 - 1


def shell(client, script, **spec):
    """Run a script to its end; return the operation's id."""
    operation = client.start("sh", "-c", script, **spec)
    client.finish(operation)
    return operation


def given(client, operation):
    """Return the answer, the files by their paths, and what is told at the end."""
    with client.authenticated() as stream:
        send(stream, {"verb": "artifacts", "id": operation})
        answer, files = receive(stream), {}
        if not answer["ok"]:
            return answer, files, {}
        while "path" in (told := receive(stream)):
            files[unquote_to_bytes(told["path"])] = content(stream)
        assert stream.read() == b""
        return answer, files, {word: n for word, n in told["left_out"].items() if n}


def content(stream):
    parts = []
    while length := LENGTH.unpack(stream.read(LENGTH.size))[0]:
        if length == SPOILT:
            return None
        parts.append(stream.read(length))
    return b"".join(parts)
