"""Speaking with the live socket as a browser does."""

import asyncio
import json
from contextlib import asynccontextmanager

from channels.testing import WebsocketCommunicator

from agents.database import read
from tests.factories import token_of
from trinity.asgi import application


class Page:
    def __init__(self, communicator):
        self._communicator = communicator

    async def say(self, **message):
        await self._communicator.send_to(text_data=json.dumps(message))

    async def say_text(self, text):
        await self._communicator.send_to(text_data=text)

    async def frame(self, *, seconds=10):
        return json.loads(await self._communicator.receive_from(timeout=seconds))

    async def next(self, event, *, seconds=10):
        """The data of the next frame of an event; others are passed over."""
        async with asyncio.timeout(seconds):
            while True:
                frame = await self.frame(seconds=seconds)
                if frame["event"] == event:
                    return frame["data"]

    async def hears_nothing(self, *, seconds=0.3):
        return await self._communicator.receive_nothing(timeout=seconds)

    async def settled(self):
        """Wait until everything said so far has been acted on; the answers to it come first."""
        await self.say_text("are you there?")
        seen = []
        while (frame := await self.frame())["data"].get("code") != "malformed":
            seen.append(frame)
        return seen

    async def subscribe(self, topic, **fields):
        await self.say(subscribe=topic, **fields)
        return await self.settled()


def page_of(user):
    return page_with("", user)


@asynccontextmanager
async def page_with(query, user=None):
    """A page that comes in by what stands in the query, or by a token of the user."""
    headers = []
    if user:
        headers = [(b"authorization", f"Bearer {await read(token_of, user)}".encode())]
    communicator = WebsocketCommunicator(application, f"/ws?{query}", headers)
    connected, _ = await communicator.connect(timeout=10)
    assert connected
    try:
        yield Page(communicator)
    finally:
        await communicator.disconnect(timeout=10)


async def knock(*headers):
    """Whether a socket is opened with these headers."""
    communicator = WebsocketCommunicator(application, "/ws", list(headers))
    connected, _ = await communicator.connect(timeout=10)
    await communicator.disconnect()
    return connected
