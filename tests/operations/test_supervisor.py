"""What a supervisor comes across does not end the process that it runs in."""

import asyncio

import pytest
from django.db import OperationalError

from agents.errors import LeaseLost
from agents.models import Agent
from operations import supervisor
from operations.models import Operation
from operations.supervisor import Supervisor

pytestmark = pytest.mark.django_db(transaction=True)


class Stumbling(Supervisor):
    """Fails in its first epoch, as one of its tasks does."""

    def __init__(self, error):
        self.error = error
        self.epochs = []
        self.is_back = asyncio.Event()

    async def _act(self, host, epoch):
        self.epochs.append(epoch)
        if len(self.epochs) == 1:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fail())
        self.is_back.set()
        await asyncio.Event().wait()

    async def _fail(self):
        raise self.error


@pytest.mark.parametrize(
    "error", [Operation.DoesNotExist(), Agent.DoesNotExist(), OperationalError(), LeaseLost()]
)
async def test_it_begins_anew_after_what_may_happen_to_it(error, monkeypatch):
    monkeypatch.setattr(supervisor, "TAKE_SECONDS", 0.01)
    stumbling = Stumbling(error)
    running = asyncio.create_task(stumbling.run())
    back = asyncio.create_task(stumbling.is_back.wait())
    await asyncio.wait([running, back], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert not running.done(), running.exception()
    running.cancel()
    await asyncio.wait([running])
    assert stumbling.epochs == [1, 2]
