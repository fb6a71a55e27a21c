"""A container that fills its workspace is stopped, and can be brought back by its owner."""

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.live

FILL = ["dd", "if=/dev/zero", "of=/home/developer/large", "bs=1M", "count=96"]


@pytest.fixture(scope="module")
def product(limited):
    limited.create_agent("hoarder", resources={"memory": "1g", "cpu": "1"})
    code = (
        "from agents.models import Agent; "
        "Agent.objects.filter(name='hoarder').update(template_disk='64m')"
    )
    limited.manage("shell", "-v0", "-c", code)
    yield limited
    limited.call("DELETE", "/api/agents/hoarder")


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
    # It may have been stopped while it still wrote, and the figure follows the status.
    wait_until(lambda: used(product) > 64 * 2**20, seconds=20)
    assert product.post("/api/agents/hoarder/start").status_code == 200
    deleting = product.run("hoarder", "rm", "/home/developer/large")
    assert product.finished(deleting)["status"] == "succeeded"
    wait_until(lambda: used(product) < 2**20, seconds=60)
    assert product.agent("hoarder")["status"] == "running"


def test_an_isolated_operation_that_fills_its_own_disk_is_ended_and_leaves_nothing(product, engine):
    endless = f"echo begun; echo one > $TRINITY_OUT/one; {' '.join(FILL)}; sleep 86397"
    operation = product.run("hoarder", "sh", "-c", endless, isolated=True)
    told = product.finished(operation, seconds=60)
    result = told["result"]
    assert (told["status"], result["error"]) == ("failed", "exited")
    assert "more than the 64m of its agent" in result["summary"]
    assert result["logs"][0] == "begun"
    assert [each["path"] for each in result["artifacts"]] == ["one"]

    def left():
        found = [each["Names"][0] for each in engine.api.containers(all=True)]
        found += [each["Name"] for each in engine.api.volumes()["Volumes"] or []]
        return [name for name in found if operation in name]

    wait_until(lambda: not left(), seconds=30)
