"""Ctrl-C ends the product; agents and what they do go on."""

import signal
import time

import pytest

pytestmark = pytest.mark.live

STEPS = """
import time
for number in range(1, 301):
    print("step", number, flush=True)
    time.sleep(0.01)
"""


def test_ctrl_c_ends_it_cleanly_and_agents_go_on(own_product, engine):
    container_id = own_product.create_agent("goes-on")["container_id"]
    operation = own_product.run("goes-on", "python3", "-c", STEPS)
    stream = own_product.stream(operation)
    with own_product.socket("agents"):
        # Somebody watches, which must not hold it up.
        while next(stream)[1].get("content") != "step 20":
            pass
        process = own_product.processes["up"]
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        ended_after = time.monotonic() - asked
    assert "Traceback" not in own_product.output()
    assert engine.containers.get(container_id).status == "running"

    began = time.monotonic()
    own_product.start()
    started_after = time.monotonic() - began
    print(f"ended in {ended_after:.2f} s, started again in {started_after:.2f} s")
    events = list(own_product.stream(operation))
    lines = [event["content"] for _, event in events if event["type"] == "log"]
    assert lines == [f"step {number}" for number in range(1, 301)]
    agent = own_product.agent("goes-on")
    assert (agent["status"], agent["container_id"]) == ("running", container_id)
