"""The live socket: one for a page, with as many subscriptions as the page needs.

Flow control is twofold: the server's ``send`` waits until the client has read, and a log waits
besides until the client says that it has shown what it got.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from agents import live
from agents.database import read
from agents.models import Agent
from agents.output import logs, shared_chunks
from agents.topics import Topic
from trinity.audit import Actor, record_denial
from trinity.identity import as_of_now, authenticate_scope
from trinity.measures import VIEWERS
from trinity.models import Scope, User
from trinity.shapes import UNSTORABLE

logger = logging.getLogger(__name__)

TOPICS = 50
# What a log may send ahead of the client's acknowledgement.
WINDOW_BYTES = 512 * 1024
# A wake-up may be lost when the channel layer is full: look again after this time.
WAKE_SECONDS = 5.0
# Within this time a share that was withdrawn ends its subscriptions.
RECHECK_SECONDS = 3.0

Resolver = Callable[[User, str], Topic | None]


def frame(event: str, data: dict[str, Any]) -> str:
    return json.dumps({"event": event, "data": data}, ensure_ascii=False)


class LogPump:
    """Sends one log's lines behind a number, as fast as the client acknowledges them."""

    def __init__(self, topic: Topic, log_id: int, after: int, send: Callable[[str], Any]) -> None:
        self._topic = topic.name
        self._log_id = log_id
        self._seq = after
        self._send = send
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._grew = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    def wake(self) -> None:
        self._grew.set()

    def acknowledge(self, seq: int) -> None:
        while self._unacknowledged and self._unacknowledged[0][0] <= seq:
            self._unacknowledged.popleft()
        self._acknowledged.set()

    async def _run(self) -> None:
        with shared_chunks.cache.followed(self._log_id):
            while True:
                try:
                    await self._pump()
                except DatabaseError as error:
                    logger.warning("A live log waits for the database: %s", error)
                    await asyncio.sleep(WAKE_SECONDS)

    async def _pump(self) -> None:
        while True:
            self._grew.clear()
            chunk = await shared_chunks.cache.after(self._log_id, self._seq)
            if chunk is None:
                await self._wait_for_growth()
                continue
            await self._wait_for_window()
            await self._send(self._render(chunk))
            self._seq = chunk.last_seq
            self._unacknowledged.append((chunk.last_seq, chunk.size))

    def _render(self, chunk: logs.Chunk) -> str:
        topic = json.dumps(self._topic)
        data = f'{{"topic": {topic}, "seq": {chunk.last_seq}, "lines": {chunk.json}}}'
        return f'{{"event": "log", "data": {data}}}'

    async def _wait_for_growth(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(WAKE_SECONDS):
                await self._grew.wait()

    async def _wait_for_window(self) -> None:
        while sum(size for _, size in self._unacknowledged) >= WINDOW_BYTES:
            self._acknowledged.clear()
            await self._acknowledged.wait()


def _is_position(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _groups_of(topic: Topic) -> set[str]:
    # All that is visible comes with the list of agents; pages are served without figures.
    return {topic.group, live.STATS} if topic.name == "agents" else {topic.group}


def _viewer(scope: Any) -> User | None:
    """Who may open the socket: what it shows takes a token that may read."""
    user = authenticate_scope(scope)
    if user is None or (isinstance(user, User) and user.may(Scope.READ)):
        return user
    record_denial(Actor.of(user), "open", "path", scope["path"], detail="No scope to read")
    return None


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    user: User

    def __init__(self, *, resolvers: tuple[Resolver, ...]) -> None:
        """``resolvers``: one for each app that has topics; the first that knows a name decides."""
        super().__init__()
        self._resolvers = resolvers
        self._topics: dict[str, Topic] = {}
        self._pumps: dict[str, LogPump] = {}
        self._seen: dict[int, dict[str, Any]] = {}
        #: What was told last of each topic that has a snapshot.
        self._told: dict[str, dict[str, Any]] = {}
        self._recheck: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            with VIEWERS.labels("socket").track_inprogress():
                await super().__call__(scope, receive, send)
        finally:
            # Here and not in disconnect, which is not called when a handler has failed.
            self._end_tasks()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels does it, but without its thread for each message: no query is made here."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        user = await read(_viewer, self.scope)
        if user is None:
            # Refused before it is accepted: a stranger gets a 403 and no socket.
            await self.close()
            return
        self.user = user
        await self.accept()
        self._recheck = asyncio.create_task(self._keep_checking())

    def _end_tasks(self) -> None:
        for pump in self._pumps.values():
            pump.task.cancel()
        if self._recheck:
            self._recheck.cancel()

    async def disconnect(self, _code: int) -> None:
        for group in self._groups():
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = json.loads(text_data or "")
        except (ValueError, RecursionError):
            message = None
        match message:
            case {"subscribe": str(name), **rest}:
                await self._subscribe(name, rest.get("after"))
            case {"unsubscribe": str(name)}:
                await self._unsubscribe(name)
            case {"ack": str(name), "seq": int(seq)} if name in self._pumps:
                self._pumps[name].acknowledge(seq)
            case {"ack": str()}:
                pass  # For a subscription that has just ended.
            case _:
                await self._refuse("", "malformed")

    async def _refuse(self, topic: str, code: str) -> None:
        await self.send(frame("error", {"topic": topic, "code": code}))

    async def _subscribe(self, name: str, after: Any) -> None:
        if UNSTORABLE.search(name):
            await self._refuse("", "malformed")
        elif after is not None and not _is_position(after):
            await self._refuse(name, "malformed")
        elif len(self._topics) >= TOPICS:
            await self._refuse(name, "too_many")
        elif (topic := await read(self._resolve, name)) is None:
            await self._refuse(name, "not_found")
        else:
            await self._unsubscribe(name)
            await self._add(topic, after)

    def _resolve(self, name: str) -> Topic | None:
        user = as_of_now(self.user)
        if user is None:
            return None
        found = (resolve(user, name) for resolve in self._resolvers)
        return next((topic for topic in found if topic), None)

    async def _add(self, topic: Topic, after: int | None) -> None:
        self._topics[topic.name] = topic
        for group in _groups_of(topic):
            await self.channel_layer.group_add(group, self.channel_name)
        if topic.log_id is not None:
            if after is None:
                after = await read(logs.last_seq, topic.log_id)
            self._pumps[topic.name] = LogPump(topic, topic.log_id, after, self._send_log)
        # What changed between the page and its subscription.
        if topic.group == live.AGENTS:
            await self._tell_changes(topic)
        elif topic.snapshot and (now := await read(self._resolve, topic.name)) and now.snapshot:
            await self._tell(now.name, *now.snapshot)

    async def _tell(self, topic: str, event: str, data: dict[str, Any]) -> None:
        self._told[topic] = data
        await self.send(frame(event, data))

    async def _send_log(self, text: str) -> None:
        await self.send(text)

    async def _unsubscribe(self, name: str) -> None:
        topic = self._topics.pop(name, None)
        if topic is None:
            return
        self._told.pop(name, None)
        if pump := self._pumps.pop(name, None):
            pump.task.cancel()
        for group in _groups_of(topic) - self._groups():
            await self.channel_layer.group_discard(group, self.channel_name)

    def _groups(self) -> set[str]:
        return {group for topic in self._topics.values() for group in _groups_of(topic)}

    async def _keep_checking(self) -> None:
        """End what may not be seen any more, and repair what a lost message left out."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                await self._check()
            except Exception:
                logger.exception("A live socket could not be checked")

    async def _check(self) -> None:
        for name in list(self._topics):
            told = self._told.get(name)
            topic = await read(self._resolve, name)
            if topic is None:
                await self._unsubscribe(name)
                await self._refuse(name, "not_found")
            # What was told while it was read is newer.
            elif topic.snapshot and told is self._told.get(name) and told != topic.snapshot[1]:
                await self._tell(name, *topic.snapshot)
        topics = [topic for topic in self._topics.values() if topic.group == live.AGENTS]
        for topic in topics:
            await self._tell_changes(topic)

    async def _tell_changes(self, topic: Topic) -> None:
        before = self._seen
        now = await read(self._statuses, topic.agent_id)
        for agent_id, data in now.items():
            if before.get(agent_id) != data:
                self._seen[agent_id] = data
                await self.send(frame("agent_status", data))
        if topic.agent_id is None:
            for agent_id in before.keys() - now.keys():
                gone = self._seen.pop(agent_id)
                await self.send(frame("agent_unshared", {"name": gone["name"]}))

    def _statuses(self, agent_id: int | None) -> dict[int, dict[str, Any]]:
        user = as_of_now(self.user)
        if user is None:
            return {}
        agents = Agent.objects.visible_to(user).select_related("host")
        if agent_id is not None:
            agents = agents.filter(pk=agent_id)
        return {agent.pk: live.status_of(agent) for agent in agents}

    def _wants(self, agent_id: int, group: str) -> bool:
        for topic in self._topics.values():
            if topic.name == "agents" and agent_id in self._seen:
                return True
            if topic.group == group and topic.agent_id == agent_id:
                return True
        return False

    # Messages of the channel layer, by their type.

    async def agent_event(self, message: dict[str, Any]) -> None:
        agent_id, data = message["agent"], message["data"]
        is_new = message["event"] in {"agent_created", "agent_shared"}
        if is_new and "agents" in self._topics and agent_id not in self._seen:
            self._seen |= await read(self._statuses, agent_id)
        if not self._wants(agent_id, live.AGENTS):
            return
        if message["event"] == "agent_deleted":
            self._seen.pop(agent_id, None)
        elif "status" in data:
            self._seen[agent_id] = data
        await self.send(frame(message["event"], data))

    async def agent_stats(self, message: dict[str, Any]) -> None:
        for agent_id, data in message["stats"]:
            if self._wants(agent_id, live.STATS):
                await self.send(frame("agent_stats_update", data))

    async def engine_state(self, message: dict[str, Any]) -> None:
        await self.send(frame("engine_state", {"away_since": message["away_since"]}))

    async def operation_event(self, message: dict[str, Any]) -> None:
        await self._tell(message["topic"], message["event"], message["data"])

    async def log_grew(self, message: dict[str, Any]) -> None:
        for name, pump in self._pumps.items():
            if self._topics[name].log_id == message["log"]:
                pump.wake()
