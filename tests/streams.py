"""Speaking with what is answered beside Django as a server does, by the ASGI application."""

import asyncio
import json
from contextlib import asynccontextmanager

from agents.database import read
from tests.factories import token_of
from trinity.asgi import application


class Viewer:
    def __init__(self, path, query, headers, ahead):
        self.sent, self._gone = asyncio.Queue(ahead), asyncio.Event()
        self._rest = ""
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.task = asyncio.create_task(application(scope, self._receive, self.sent.put))

    async def _receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def leave(self):
        self._gone.set()

    async def next_message(self, *, seconds=10):
        async with asyncio.timeout(seconds):
            return await self.sent.get()

    async def status(self):
        start = await self.next_message()
        assert start["type"] == "http.response.start"
        return start["status"], dict(start["headers"])

    async def rest(self):
        """The bytes of the body up to its end, one message each."""
        found = []
        while (message := await self.next_message()).get("more_body"):
            found.append(message["body"])
        return [*found, message["body"]] if message["body"] else found

    async def next_text(self):
        """The next block of the stream, up to an empty line; None at its end."""
        while "\n\n" not in self._rest:
            message = await self.next_message()
            self._rest += message["body"].decode()
            if not message.get("more_body"):
                return None
        block, _, self._rest = self._rest.partition("\n\n")
        return block

    async def next_event(self):
        """The next event as (id or None, data), comments left out; None at the end."""
        while (block := await self.next_text()) is not None:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            if "data" in fields:
                return fields.get("id") and int(fields["id"]), json.loads(fields["data"])
        return None

    async def events(self):
        """All events to the end."""
        found = []
        while event := await self.next_event():
            found.append(event)
        return found


@asynccontextmanager
async def viewing(path, user=None, *, query="", ahead=0, **headers):
    """``ahead``: so many messages are taken before they are looked at; by default all."""
    if user:
        headers["authorization"] = f"Bearer {await read(token_of, user)}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    viewer = Viewer(path, query, headers, ahead)
    try:
        yield viewer
    finally:
        viewer.leave()
        async with asyncio.timeout(10):
            await viewer.task


def lines_in(events):
    return [(seq, data["content"]) for seq, data in events if data["type"] == "log"]
