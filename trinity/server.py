"""The server process: Daphne with backpressure, an orderly start and an orderly end.

Stock Daphne buffers without bound for a client that does not read; here an
application's ``send`` waits until the client's transport has drained.  Import
this module only to serve: Daphne installs Twisted's reactor when it is imported.
"""

# mypy: allow-untyped-calls
# (Twisted types only part of its methods.)

import asyncio
import errno
import gc
import logging
import math
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

# First of all that is Twisted: it installs the asyncio reactor on a new loop.
from daphne.server import Server as DaphneServer  # isort: skip
from daphne.http_protocol import HTTPFactory
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import reactor as installed_reactor
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Port
from twisted.internet.tcp import Server as Transport
from twisted.logger import LogLevel, STDLibLogObserver, globalLogBeginner
from twisted.python.failure import Failure

from trinity.bodies import ArrivingChannel, ArrivingRequest
from trinity.drain import Drain

# Twisted types its reactor as a module, which it only is until the import above.
reactor = cast(Any, installed_reactor)
logger = logging.getLogger(__name__)

Application = Callable[..., Coroutine[Any, Any, None]]
Background = Callable[[], Coroutine[Any, Any, None]]
IsUpload = Callable[[str, str], bool]
Message = dict[str, Any]

ASGI = {"version": "3.0"}
STALL_SECONDS = 30.0  # a client that has not drained for so long is closed
STOP_SECONDS = 10.0  # for the background task and the applications, at the end
ABANDONED_SECONDS = 5.0  # for an application to end after its client has gone
DROP_SECONDS = 1.0  # how long sends to a lost WebSocket are dropped, not refused
DROP_PAUSE_SECONDS = 0.001
LISTEN_BACKLOG = 1024
WEBSOCKET_MESSAGE_BYTES = 1024**2
BODY_BYTES = 4 * 1024**2  # above what any view takes, so that what is cut is refused


class ClientDisconnected(asyncio.CancelledError):
    """The client has gone, and what produces for it shall end.

    A cancellation and not an OSError: Django, Channels and asyncio end quietly
    on it, while an error would be logged with a stack for every closed tab.
    """


class Channel(ArrivingChannel):
    """An HTTP connection that knows its drain.

    It stays its transport's producer when the connection becomes a WebSocket,
    so that one drain follows a connection for as long as it lives.
    """

    stall_seconds: float
    drain: Drain

    def connectionMade(self) -> None:
        self.drain = Drain(cast(Transport, self.transport), self.stall_seconds)
        super().connectionMade()

    def pauseProducing(self) -> None:
        self.drain.pause()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.drain.resume()
        super().resumeProducing()

    def stopProducing(self) -> None:
        self.drain.lose()
        super().stopProducing()

    def loseConnection(self) -> None:
        # From here on the transport has no producer to tell of its progress,
        # and would wait for a client that does not read as long as that lives.
        super().loseConnection()
        self.drain.expect_end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.drain.lose()
        super().connectionLost(reason)


class Request(ArrivingRequest):
    def __init__(self, channel: Channel, *args: Any, **kwargs: Any) -> None:
        self.drain = channel.drain
        super().__init__(channel, *args, **kwargs)

    async def refuse(self) -> None:
        raise ClientDisconnected

    def handleContentChunk(self, data: bytes) -> None:
        """Keep no more of a body than tells an application that it is too large.

        Daphne hands a body over whole, in memory, before anybody knows whose it is. One
        that is served while it arrives is not kept at all.
        """
        if self.body is None:
            data = data[: BODY_BYTES - self.content.tell()]
        super().handleContentChunk(data)

    def handle_exception(self, exception: BaseException) -> None:
        """Answer 500, or cut off an answer that has begun.

        Daphne 4.2 raises for the latter, which ends its application checker
        and with it the clean-up of all other connections.
        """
        if self._response_started:
            self.channel.transport.abortConnection()
        else:
            super().handle_exception(exception)


class WebSocket(WebSocketProtocol):  # type: ignore[misc]  # Daphne is untyped
    drain: Drain

    def connectionMade(self) -> None:
        self.drain = self.transport.producer.drain
        super().connectionMade()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.drain.lose()
        super().connectionLost(reason)

    def _closeConnection(self, abort: bool = False) -> None:
        super()._closeConnection(abort)
        self.drain.expect_end()

    def handle_reply(self, message: Message) -> None:
        # To one that has said goodbye nothing can be sent: Autobahn would raise, and that would
        # be logged as the application's failure. Its connection ends in a moment.
        is_sent = message.get("type") == "websocket.send"
        if not is_sent or self.state in {self.STATE_CONNECTING, self.STATE_OPEN}:
            super().handle_reply(message)

    async def refuse(self) -> None:
        """Drop a message to a client that has gone; after a while, refuse it.

        A Channels consumer whose handler raises is never told of the
        disconnection, so that its clean-up would be left out whenever a client
        leaves while it is answered.  The pause is for those who send in a loop.
        """
        if time.monotonic() - (self.drain.lost_at or 0) > DROP_SECONDS:
            raise ClientDisconnected
        await asyncio.sleep(DROP_PAUSE_SECONDS)


class ChannelFactory(HTTPFactory):  # type: ignore[misc]  # Daphne is untyped
    # Not Twisted's default, which wraps a channel to negotiate HTTP/2 over TLS.
    protocol = Channel

    def buildProtocol(self, addr: Any) -> Channel:
        channel: Channel = super().buildProtocol(addr)
        channel.requestFactory = cast(Any, Request)
        channel.stall_seconds = self.server.stall_seconds
        return channel


class SocketFactory(WebSocketFactory):  # type: ignore[misc]  # Daphne is untyped
    protocol = WebSocket


class Server(DaphneServer):  # type: ignore[misc]  # Daphne is untyped
    """Serves one application on one port until told to stop."""

    def __init__(
        self,
        application: Application,
        *,
        host: str,
        port: int,
        background: Background | None = None,
        ready: Callable[[], None] | None = None,
        stall_seconds: float = STALL_SECONDS,
        is_upload: IsUpload = lambda _method, _path: False,
    ) -> None:
        """``is_upload`` tells whose body is served while it arrives; see ``trinity.bodies``."""
        super().__init__(
            application,
            endpoints=[f"{host}:{port}"],
            ready_callable=ready,
            # Daphne would log a warning for each; see application_checker.
            application_close_timeout=math.inf,
            websocket_max_message_size=WEBSOCKET_MESSAGE_BYTES,
            websocket_max_frame_size=WEBSOCKET_MESSAGE_BYTES,
            server_name="trinity",
        )
        self.stall_seconds = stall_seconds
        self.is_upload = is_upload
        self.connections: dict[Any, dict[str, Any]] = {}
        self._host, self._port = host, port
        self._background = background
        self._background_task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._status = 0

    def run(self) -> int:
        """Serve until stopped; return the process's exit status."""
        _log_failures_of_twisted()
        self._make_factories()
        listener = self._listen()
        # In the loop and not before it, where tasks and handlers need one.
        reactor.callLater(0, self._start, listener)
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        reactor.run(installSignalHandlers=False)
        return self._status

    def stop(self) -> None:
        """Begin the orderly end, unless it has begun."""
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end())

    def create_application(self, protocol: Request | WebSocket, scope: Message) -> Any:
        """Begin as Daphne does; a body that is still arriving is a queue of its own."""
        body = getattr(protocol, "body", None)
        if body is None:
            return super().create_application(protocol, scope)
        send = partial(self.handle_reply, protocol)
        answering = self.application(scope={**scope, "asgi": ASGI}, receive=body.get, send=send)
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(answering)
        return body

    async def handle_reply(self, protocol: Request | WebSocket, message: Message) -> None:
        """Send, then wait until the client's transport can take more."""
        if protocol.drain.lost_at is not None:
            await protocol.refuse()
            return
        await super().handle_reply(protocol, message)
        if self._is_over(protocol):
            return
        await protocol.drain.wait()
        if protocol.drain.lost_at is not None:
            await protocol.refuse()

    def application_checker(self) -> None:
        """Cancel what outlives its client, without Daphne's warning; then reap."""
        now = time.time()
        for connection in self.connections.values():
            task = connection.get("application_instance")
            gone_at = connection.get("disconnected", now)
            if task and now - gone_at > ABANDONED_SECONDS and not task.cancelling():
                task.cancel()
        super().application_checker()

    def _is_over(self, protocol: Request | WebSocket) -> bool:
        """Whether the answer is complete (the connection may serve another)."""
        return "disconnected" in self.connections.get(protocol, {"disconnected": 0})

    def _make_factories(self) -> None:
        self.http_factory = ChannelFactory(self)
        self.ws_factory = SocketFactory(self, server=self.server_name)
        self.ws_factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=self.websocket_handshake_timeout,
            # Autobahn's default of 1 s cuts a slow reader off from the last
            # of what was sent before the close.
            closeHandshakeTimeout=self.stall_seconds,
            maxMessagePayloadSize=self.websocket_max_message_size,
            maxFramePayloadSize=self.websocket_max_frame_size,
        )

    def _listen(self) -> Port:
        try:
            return cast(
                Port,
                reactor.listenTCP(self._port, self.http_factory, LISTEN_BACKLOG, self._host),
            )
        except CannotListenError as error:
            raise SystemExit(_explain(error, self._host, self._port)) from None

    def _start(self, listener: Port) -> None:
        self._listener = listener
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        if self._background:
            self._background_task = loop.create_task(self._background())
            self._background_task.add_done_callback(self._note_background_end)
        if self.ready_callable:
            self.ready_callable()

    def _note_background_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            error: BaseException | None = None
            failed = self._ending is None
        else:
            error = task.exception()
            failed = error is not None
        if failed:
            logger.error("The background task failed; stopping", exc_info=error)
            self._status = 1
            self.stop()

    async def _end(self) -> None:
        loop = asyncio.get_running_loop()
        # Not KeyboardInterrupt, which Twisted's callbacks catch and log.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            if stopped := self._listener.stopListening():
                await stopped.asFuture(loop)
            await self._end_tasks()
        finally:
            reactor.stop()

    async def _end_tasks(self) -> None:
        connections = self.connections.values()
        tasks = {connection.get("application_instance") for connection in connections}
        tasks.add(self._background_task)
        pending = {task for task in tasks if task and not task.done()}
        for task in pending:
            task.cancel()
        if pending:
            _, late = await asyncio.wait(pending, timeout=STOP_SECONDS)
            if late:
                logger.warning("Stopping without waiting for %d tasks", len(late))


def run(
    application: Application,
    *,
    host: str,
    port: int,
    background: Background | None = None,
    ready: Callable[[], None] | None = None,
    is_upload: IsUpload = lambda _method, _path: False,
) -> None:
    """Serve until SIGINT or SIGTERM; a second SIGINT ends at once.

    ``background`` runs as a task on the server's loop and is cancelled at the
    end; should it fail, the server stops too.  ``ready`` is called when the port
    is bound.  Raises SystemExit with status 1 for a taken port or a failure.
    """
    server = Server(
        application,
        host=host,
        port=port,
        background=background,
        ready=ready,
        is_upload=is_upload,
    )
    # What is there by now stays. The collector went through it again and again while a chatty
    # log was read, and took a third of the time.
    gc.freeze()
    if status := server.run():
        raise SystemExit(status)


def _explain(error: CannotListenError, host: str, port: int) -> str:
    cause = error.socketError
    if getattr(cause, "errno", None) == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken: set TRINITY_PORT to another one, or stop what uses it"
        )
    return f"Cannot listen on port {port} of {host}: {getattr(cause, 'strerror', cause)}"


def _log_failures_of_twisted() -> None:
    """Pass on what Twisted could not handle; Daphne discards that with the rest."""
    to_logging = STDLibLogObserver("twisted")

    def log_failure(event: dict[str, Any]) -> None:
        if event["log_level"] is LogLevel.critical:
            to_logging(event)

    observers: list[Any] = [log_failure]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
