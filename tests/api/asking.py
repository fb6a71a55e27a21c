"""Requests to the ASGI application as a server sends them, whoever of its parts answers."""

import asyncio
import json
from dataclasses import dataclass

from trinity.asgi import application


@dataclass
class Answer:
    status: int
    headers: dict
    content: bytes

    def json(self):
        return json.loads(self.content)


def ask(method, path, *, query="", body=None, token=None, headers=None):
    """Return the answer; of a stream without an end its first bytes."""
    return asyncio.run(_ask(method, path, query, body, token, headers or {}))


async def _ask(method, path, query, body, token, headers):
    content = body if isinstance(body, bytes) else b"" if body is None else _json(body)
    headers = {"host": "localhost", "content-length": str(len(content)), **headers}
    if token:
        headers["authorization"] = f"Bearer {token}"
    scope = {
        "type": "http",
        "method": method.upper(),
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    unread, left, sent = [content], asyncio.Event(), []

    async def receive():
        if unread:
            return {"type": "http.request", "body": unread.pop()}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        types = dict(sent[0]["headers"]).get(b"content-type")
        if len(sent) > 1 and types == b"text/event-stream":
            left.set()

    async with asyncio.timeout(30):
        await application(scope, receive, send)
    told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], told, body)


def _json(body):
    return json.dumps(body).encode()
