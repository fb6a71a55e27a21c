"""Where an operation runs: in the agent's container; one of its own is ``operations.isolated``."""

from typing import Any, Protocol

from agents import containers
from agents.database import read
from agents.models import Agent
from agents.wire import AgentServer
from operations.models import Operation


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


class Place(Protocol):
    #: The agent server that runs it.
    server: AgentServer

    async def prepare(self) -> None:
        """Make sure of the place before each attempt to speak with its server.

        Raises Broken where it is of no use to try; AgentUnavailable and EngineUnavailable where
        it is.
        """
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
        self.server = containers.server_of(operation.agent)

    async def prepare(self) -> None:
        if self._is_known:
            self._is_known = False
            return
        agent = await read(Agent.objects.filter(pk=self._operation.agent_id).first)
        if agent is None or agent.status not in {Agent.Status.RUNNING, Agent.Status.STARTING}:
            raise Broken("The agent's container stopped while the operation ran")
        # It may have got a new container, which has the same spool.
        self.server = containers.server_of(agent)

    async def judge(self, outcome: dict[str, Any]) -> dict[str, Any]:
        return outcome

    async def clear(self) -> None:
        await self.server.forget(str(self._operation.pk), self._epoch)
