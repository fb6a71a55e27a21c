"""The verbs on files as a client speaks them; paths are bytes or text."""

import os
import struct
from contextlib import contextmanager
from urllib.parse import quote, unquote_to_bytes

from tests.agents.agent_server.client import receive, send

LENGTH = struct.Struct("!I")


def encoded(path):
    return quote(os.fsencode(path))


def listed(client, path=""):
    return client.ask("files.list", path=encoded(path))


def names(node):
    return [unquote_to_bytes(child["name"]) for child in node["children"]]


def tree(node):
    """The names below a node, a directory as a mapping and anything else as its kind."""
    return {
        unquote_to_bytes(child["name"]).decode(errors="surrogateescape"): (
            tree(child) if child["kind"] == "directory" else child["kind"]
        )
        for child in node["children"]
    }


def deleted(client, path):
    return client.ask("files.delete", path=encoded(path))


@contextmanager
def asked(client, verb, path):
    with client.authenticated() as stream:
        send(stream, {"verb": verb, "path": encoded(path)})
        yield stream, receive(stream)


def read(client, path):
    """Return the answer and the bytes behind it."""
    with asked(client, "files.read", path) as (stream, answer):
        return answer, stream.read() if answer["ok"] else b""


def part(content):
    return LENGTH.pack(len(content)) + content


def written(client, path, *contents):
    """Upload in parts; return the last answer."""
    with asked(client, "files.write", path) as (stream, begun):
        if not begun["ok"]:
            return begun
        for content in [*contents, b""]:
            stream.write(part(content))
        stream.flush()
        return receive(stream)
