"""A container that fills its workspace is stopped, and can be brought back by its owner."""

import pytest

from tests.product import Product
from tests.waiting import wait_until

pytestmark = pytest.mark.live

FILL = ["dd", "if=/dev/zero", "of=/home/developer/large", "bs=1M", "count=96"]


@pytest.fixture
def product():
    product = Product(environment={"TRINITY_DISK_SECONDS": "1"})
    try:
        product.start()
        product.create_agent("hoarder", resources={"memory": "1g", "cpu": "1"})
        code = "from agents.models import Agent; Agent.objects.update(template_disk='64m')"
        product.manage("shell", "-v0", "-c", code)
        yield product
    finally:
        product.remove()


def used(product):
    return product.get("/api/agents/hoarder/resources").json()["disk_used_bytes"]


def is_stopped(product):
    agent = product.agent("hoarder")
    return agent["status"] == "stopped" and agent["status_reason"] == "disk_full"


def test_an_agent_that_fills_its_disk_is_stopped_and_may_delete_what_it_wrote(product):
    wait_until(lambda: used(product) is not None, seconds=20)
    assert used(product) < 2**20
    product.run("hoarder", *FILL)
    wait_until(lambda: is_stopped(product), seconds=60)
    assert used(product) >= 96 * 2**20
    assert product.post("/api/agents/hoarder/start").status_code == 200
    deleting = product.run("hoarder", "rm", "/home/developer/large")
    assert product.finished(deleting)["status"] == "succeeded"
    wait_until(lambda: used(product) < 2**20, seconds=60)
    assert product.agent("hoarder")["status"] == "running"
