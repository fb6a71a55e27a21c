"""Sending a body to the ASGI application as a server does, part by part."""

import asyncio
import json
from contextlib import asynccontextmanager

from agents.database import read
from tests.factories import token_of
from trinity.asgi import application


class Sender:
    """``asked`` counts how often the application has asked for more of the body."""

    def __init__(self, path, query, headers):
        self.asked = 0
        self._parts, self._sent = asyncio.Queue(), []
        scope = {
            "type": "http",
            "method": "PUT",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self._task = asyncio.create_task(application(scope, self._receive, self._send))

    async def _receive(self):
        self.asked += 1
        return await self._parts.get()

    async def _send(self, message):
        self._sent.append(message)

    def part(self, content, *, more=True):
        self._parts.put_nowait({"type": "http.request", "body": content, "more_body": more})

    def leave(self):
        self._parts.put_nowait({"type": "http.disconnect"})

    async def end(self):
        """Wait for the application; return what it has sent."""
        async with asyncio.timeout(20):
            await self._task
        return self._sent

    async def answer(self):
        start, body = await self.end()
        return start["status"], json.loads(body["body"])


@asynccontextmanager
async def sending(path, user=None, *, query="", **headers):
    if user:
        headers["authorization"] = f"Bearer {await read(token_of, user)}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    sender = Sender(path, query, headers)
    try:
        yield sender
    finally:
        sender.leave()
        await sender.end()


async def put(path, user, *parts, **options):
    """Send a whole body; return status and answer."""
    async with sending(path, user, **options) as sender:
        for part in parts:
            sender.part(part)
        sender.part(b"", more=False)
        return await sender.answer()
