"""An environment that no key opens any more ends its operation, and says what to do."""

import pytest

from operations import execution
from tests.operations.driving import begin, executing, finished, until
from trinity.encryption import seal

pytestmark = pytest.mark.django_db(transaction=True)

ISOLATED = {"is_isolated": True, "memory": "1g", "cpu": "1", "network": "none"}


@pytest.fixture
def sealed(agent, settings):
    """Sealed with a key that was then replaced, and not kept beside the new one."""
    type(agent.host).objects.update(lease_epoch=1)
    settings.ENCRYPTION_KEYS = ["old"]
    sealed = seal({"TOKEN": "hush"})
    settings.ENCRYPTION_KEYS = ["new"]
    return sealed


@pytest.mark.parametrize("fields", [{}, ISOLATED])
async def test_one_that_waits_fails_and_says_what_to_do(agent, containers, sealed, fields):
    operation = await begin(agent, "true", environment=sealed, **fields)
    async with executing(agent):
        await finished(operation)
        await until(lambda: not list(containers.folder.glob(f"**/*{operation.pk}*")))
    assert (operation.status, operation.error) == ("failed", "start_failed")
    assert operation.summary == execution.UNREADABLE
    assert "give the environment anew" in operation.summary


async def test_it_keeps_no_other_from_its_place(agent, sealed, settings):
    settings.TRINITY_OPERATIONS_PER_AGENT = 1
    await begin(agent, "true", environment=sealed)
    second = await begin(agent, "true")
    async with executing(agent):
        await finished(second)
    assert second.status == "succeeded"
