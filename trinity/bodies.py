"""Bodies that are served while they arrive, and whose sender is held back meanwhile.

Daphne starts an application only when it has the whole body. For some requests that is too
late: whose they are is to be known first, and they are too large to be kept.
Only ``trinity.server`` imports this: Daphne's server has to be imported before.
"""

# mypy: allow-untyped-calls
# (Twisted types only part of its methods.)

import asyncio
from io import BytesIO
from typing import Any, cast
from urllib.parse import unquote

from daphne.http_protocol import WebRequest
from twisted.internet.tcp import Server as Transport
from twisted.web.http import HTTPChannel

Message = dict[str, Any]

WINDOW_BYTES = 256 * 1024  # so much of a body waits for its application
LINGER_SECONDS = 30.0  # for a client to send what nobody wants any more, and see the answer


class Body:
    """What an application receives from, in place of Daphne's queue."""

    def __init__(self, channel: "ArrivingChannel") -> None:
        self._channel = channel
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting_bytes = 0
        self.is_invited = True
        self.is_whole = False

    def put_nowait(self, message: Message) -> None:
        """Take what Daphne tells; of the body it sees nothing."""
        if message["type"] == "http.disconnect":
            self._messages.put_nowait(message)

    def append(self, part: bytes) -> None:
        self._waiting_bytes += len(part)
        self._messages.put_nowait({"type": "http.request", "body": part, "more_body": True})
        if self._waiting_bytes > WINDOW_BYTES:
            self._channel.hold()

    def end(self) -> None:
        self.is_whole = True
        self._messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def get(self) -> Message:
        if not self.is_invited:
            self.is_invited = True
            self._channel.invite()
        message = await self._messages.get()
        self._waiting_bytes -= len(message.get("body", b""))
        if self._waiting_bytes <= WINDOW_BYTES:
            self._channel.release()
        return message


class ArrivingRequest(WebRequest):  # type: ignore[misc]  # Daphne is untyped
    """A request that begins when its headers are there, if the server says so."""

    body: Body | None = None

    def announce(self, method: bytes, uri: bytes, version: bytes) -> None:
        """Learn what will be asked for, before there is a body."""
        path = uri.partition(b"?")[0]
        # These would lead elsewhere than the path says, to those who keep a body whole.
        leads_elsewhere = map(self.requestHeaders.hasHeader, ("Upgrade", "Daphne-Root-Path"))
        is_upload = self.server.is_upload(method.decode("latin-1"), unquote(path.decode("latin-1")))
        if is_upload and not any(leads_elsewhere):
            self.method, self.uri, self.clientproto, self.path = method, uri, version, path
            self.body = Body(self.channel)

    def gotLength(self, length: int | None) -> None:
        if self.body is None:
            super().gotLength(length)
        else:
            self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.body is None:
            super().handleContentChunk(data)
        elif not self.finished:
            self.body.append(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self.body is None:
            super().requestReceived(command, path, version)
        else:
            self.body.end()

    def handle_reply(self, message: Message) -> None:
        if self.body is not None and not self.body.is_whole:
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        super().handle_reply(message)


class ArrivingChannel(HTTPChannel):
    """A connection that serves such requests, and outlasts an answer that comes early."""

    _is_lingering = False

    @property
    def _tcp(self) -> Transport:
        return cast(Transport, self.transport)

    def hold(self) -> None:
        self._tcp.pauseProducing()

    def release(self) -> None:
        # A client that does not take what is sent to it is not read from either.
        if not self._waitingForTransport:
            self._tcp.resumeProducing()

    def invite(self) -> None:
        super()._send100Continue()

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        if self.length != 0:
            request.announce(self._command, self._path, self._version)
        super().allHeadersReceived()
        if request.body is not None:
            request.process()

    def _send100Continue(self) -> None:
        """Leave it to the application, which asks for the body or does not."""
        body = self.requests[-1].body
        if body is None:
            super()._send100Continue()
        else:
            body.is_invited = False

    def requestDone(self, request: ArrivingRequest) -> None:
        if request.body is None or request.body.is_whole:
            super().requestDone(request)
            return
        # Closed at once the connection would be reset by what still arrives, and the
        # answer be lost; what is left of the body is no request either.
        self.requests.remove(request)
        self._is_lingering = True
        self.release()
        self.callLater(LINGER_SECONDS, self._tcp.abortConnection)

    def allContentReceived(self) -> None:
        if self._is_lingering:
            self.loseConnection()
        else:
            super().allContentReceived()
