"""Where an operation runs: in the agent's container; one of its own is ``operations.isolated``."""

import asyncio
import time
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from agents import containers
from agents.database import read
from agents.errors import AgentPaused, AgentUnavailable
from agents.figures.disk import Sizes
from agents.models import Agent
from agents.spares import Spares
from agents.wire import AgentServer
from operations.deadlines import LISTEN_SECONDS, Verdict
from operations.models import Operation

# What went down with its engine, or its host, is soon taken up when that is back.
RETURN_SECONDS = 5.0
# For a server to show that it is there at all.
SIGN_SECONDS = 1.0
# One that is there, and gives no end, may have much to give before it; but not for ever.
HEAR_SECONDS = 60.0

STOPPED = "The agent's container stopped while the operation ran"
PAUSED = "The agent is paused on its engine. What is left of it is killed when that is resumed"
SILENT = (
    "The agent's server does not answer, or not as it should, so it may run on. "
    "Restart the agent: that ends it"
)


class Broken(Exception):
    """The operation's place is gone or never came to be: this is its outcome."""

    def __init__(
        self,
        summary: str,
        *,
        error: str = Operation.Error.LOST,
        status: Operation.Status = Operation.Status.FAILED,
    ) -> None:
        super().__init__(summary)
        self.error = error
        self.status = status


def broken(verdict: Verdict, why: str) -> Broken:
    return Broken(f"{verdict.summary}. {why}", error=verdict.error, status=verdict.status)


class Returning(Exception):
    """The operation's place is down, and may be brought up again: ask once more."""


class Place(Protocol):
    #: The agent server that runs it.
    server: AgentServer

    async def prepare(self) -> None:
        """Make sure of the place before each attempt to speak with its server.

        Raises Broken where it is of no use to try; AgentPaused, AgentUnavailable,
        EngineUnavailable and Returning where it is.
        """
        ...

    async def be_ready(self) -> None:
        """Wait until the server answers, where the place was brought up just now."""
        ...

    async def end_overdue(self, verdict: Verdict) -> float:
        """End what its server should have ended; return for how long to hear what it has left.

        Raises Broken with the verdict where there is nothing to hear, and otherwise as ``prepare``.
        """
        ...

    async def bound_disk(self, sizes: Sizes) -> None:
        """Go down if it takes more of the disk than it may; its outcome then says so."""
        ...

    async def judge(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Return the outcome with what the place knows better than its server."""
        ...

    async def clear(self) -> None:
        """Leave nothing of the operation behind, now that its end is committed."""
        ...


class InAgent:
    """The container of the agent, which outlives the operation."""

    def __init__(self, operation: Operation, epoch: int, spares: Spares) -> None:
        self._operation = operation
        self._epoch = epoch
        self._spares = spares
        self._is_known = True
        self._down_since: float | None = None
        self._overdue_since: float | None = None
        self.server = containers.server_of(operation.agent, spares)

    async def prepare(self) -> None:
        if self._is_known:
            self._is_known = False
            return
        agent = await self._agent()
        if agent is None or not _is_up(agent):
            self._check_return(agent)
        self._down_since = None
        if agent.is_paused:
            raise AgentPaused(agent.name)
        # It may have got a new container, which has the same spool.
        self.server = containers.server_of(agent, self._spares)

    async def be_ready(self) -> None:
        """Nothing to do: an agent runs when its server answers."""

    async def end_overdue(self, verdict: Verdict) -> float:
        """Nothing but its server can end it: others are at work in the same container.

        So it ends here alone. Its leftovers go with the container, or are killed as those of any
        that has ended as soon as the server answers again.
        """
        agent = await self._agent()
        if agent is None or not _is_up(agent):
            if verdict.is_cancel:
                raise broken(verdict, STOPPED)
            self._check_return(agent)
        self._check_circumstances(agent, verdict)
        self._overdue_since = self._overdue_since or time.monotonic()
        is_patient = time.monotonic() - self._overdue_since < HEAR_SECONDS
        if is_patient and await _gives_a_sign(containers.server_of(agent)):
            return LISTEN_SECONDS
        raise broken(verdict, SILENT)

    def _check_circumstances(self, agent: Agent, verdict: Verdict) -> None:
        """Wait where the server cannot tell how it went: its end may be there to be read."""
        is_unbegun = self._operation.status == Operation.Status.STARTING
        if agent.host.away_since and not (verdict.is_cancel and is_unbegun):
            raise Returning
        if agent.is_paused:
            raise broken(verdict, PAUSED) if verdict.is_cancel else AgentPaused(agent.name)
        if agent.status == Agent.Status.STARTING and not verdict.is_cancel:
            raise Returning

    async def _agent(self) -> Agent | None:
        agents = Agent.objects.select_related("host")
        return await read(agents.filter(pk=self._operation.agent_id).first)

    def _check_return(self, agent: Agent | None) -> NoReturn:
        """Wait for one that is brought up again: its server then has all that was printed."""
        now = time.monotonic()
        self._down_since = self._down_since or now
        is_wanted = agent and agent.desired == Agent.Desired.RUNNING and not agent.deleting
        if agent and is_wanted and (agent.verb or now - self._down_since < RETURN_SECONDS):
            raise Returning
        raise Broken(STOPPED)

    async def bound_disk(self, sizes: Sizes) -> None:
        """Nothing to do: the agent as a whole has a limit."""

    async def judge(self, outcome: dict[str, Any]) -> dict[str, Any]:
        return outcome

    async def clear(self) -> None:
        await self.server.forget(str(self._operation.pk), self._epoch)
        # It is for another operation: this one is done without it.
        with suppress(AgentUnavailable):
            await self.server.make_spare()


def _is_up(agent: Agent) -> bool:
    return agent.status in {Agent.Status.RUNNING, Agent.Status.STARTING}


async def _gives_a_sign(server: AgentServer) -> bool:
    began = time.monotonic()
    try:
        async with asyncio.timeout(SIGN_SECONDS):
            await server.operations()
    except (AgentUnavailable, TimeoutError):
        # A process that was stopped meanwhile has not waited: that proves nothing.
        return time.monotonic() - began > 2 * SIGN_SECONDS
    return True
