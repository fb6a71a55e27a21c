"""Where an operation runs: in the agent's container; one of its own is ``operations.isolated``."""

import time
from typing import Any, NoReturn, Protocol

from agents import containers
from agents.database import read
from agents.errors import AgentPaused
from agents.figures.disk import Sizes
from agents.models import Agent
from agents.wire import AgentServer
from operations.models import Operation

# What went down with its engine, or its host, is soon taken up when that is back.
RETURN_SECONDS = 5.0


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

    def __init__(self, operation: Operation, epoch: int) -> None:
        self._operation = operation
        self._epoch = epoch
        self._is_known = True
        self._down_since: float | None = None
        self.server = containers.server_of(operation.agent)

    async def prepare(self) -> None:
        if self._is_known:
            self._is_known = False
            return
        agent = await read(Agent.objects.filter(pk=self._operation.agent_id).first)
        if agent is None or agent.status not in {Agent.Status.RUNNING, Agent.Status.STARTING}:
            self._check_return(agent)
        self._down_since = None
        if agent.is_paused:
            raise AgentPaused(agent.name)
        # It may have got a new container, which has the same spool.
        self.server = containers.server_of(agent)

    def _check_return(self, agent: Agent | None) -> NoReturn:
        """Wait for one that is brought up again: its server then has all that was printed."""
        now = time.monotonic()
        self._down_since = self._down_since or now
        is_wanted = agent and agent.desired == Agent.Desired.RUNNING and not agent.deleting
        if agent and is_wanted and (agent.verb or now - self._down_since < RETURN_SECONDS):
            raise Returning
        raise Broken("The agent's container stopped while the operation ran")

    async def bound_disk(self, sizes: Sizes) -> None:
        """Nothing to do: the agent as a whole has a limit."""

    async def judge(self, outcome: dict[str, Any]) -> dict[str, Any]:
        return outcome

    async def clear(self) -> None:
        await self.server.forget(str(self._operation.pk), self._epoch)
