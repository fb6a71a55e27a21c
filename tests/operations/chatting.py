"""Chatting as a program does: one POST, which is answered when the agent has said something."""

import asyncio
import json
from dataclasses import dataclass

from agents.database import read
from tests.factories import token_of
from trinity.asgi import application


@dataclass
class Answer:
    status: int
    headers: dict
    body: dict


class Chat:
    """A request under way; ``leave`` is what a client does that closes its connection."""

    def __init__(self, path, headers, body):
        self._body, self._gone, self._sent = body, asyncio.Event(), []
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.task = asyncio.create_task(application(scope, self._receive, self._take))

    async def _receive(self):
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message):
        self._sent.append(message)

    def leave(self):
        self._gone.set()

    async def answer(self, *, seconds=20):
        async with asyncio.timeout(seconds):
            await self.task
        start, *rest = self._sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        body = b"".join(message.get("body", b"") for message in rest)
        assert int(headers.get("content-length", len(body))) == len(body)
        return Answer(start["status"], headers, json.loads(body))


async def chatting(user, name, headers=None, **body):
    token = {"authorization": f"Bearer {await read(token_of, user)}"} if user else {}
    sent = json.dumps(body).encode()
    return Chat(f"/api/agents/{name}/chat", {"host": "localhost", **token, **(headers or {})}, sent)


async def chat(user, name="scribe", headers=None, **body):
    return await (await chatting(user, name, headers, **body)).answer()
