"""Running operations as the supervisor does, without the rest of it."""

import asyncio
from contextlib import asynccontextmanager

from agents.database import Writer, read
from agents.output import logs
from operations.executions import Executions
from tests.factories import make_operation

# Prints, and then runs until its agent server is gone.
ENDLESS = ["sh", "-c", "echo begun; while [ -d /proc/$PPID ]; do sleep 0.05; done"]


@asynccontextmanager
async def executing(agent, *, epoch=1, guard=None):
    writer = Writer(guard)
    executions = Executions(agent.host_id, epoch, writer)
    running = asyncio.create_task(executions.run())
    try:
        yield executions
    finally:
        running.cancel()
        await asyncio.wait([running])
        await asyncio.to_thread(writer.close)


async def begin(agent, *command, **fields):
    return await read(make_operation, agent=agent, command=list(command), **fields)


async def until(condition, *, seconds=20):
    """Wait until a query in another thread is true."""
    async with asyncio.timeout(seconds):
        while not (found := await read(condition)):
            await asyncio.sleep(0.02)
    return found


async def finished(operation):
    def ended():
        operation.refresh_from_db()
        return operation.is_finished

    await until(ended)
    return operation


async def run(agent, *command, **fields):
    """Run an operation to its end."""
    operation = await begin(agent, *command, **fields)
    async with executing(agent):
        return await finished(operation)


async def lines_of(operation):
    found = await read(logs.lines_after, operation.log_id, 0, 10**6)
    return [text for _, text in found]
