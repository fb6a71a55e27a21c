"""A container's log: live, kept when the container stops or goes, whole whatever is killed."""

import pytest

from tests.product import next_frame
from tests.waiting import wait_until

pytestmark = pytest.mark.live

# What the container's first process writes is the container's log.
SAY = "import sys; open('/proc/1/fd/1', 'w').write(sys.argv[1] + '\\n')"
COUNT = """
import sys, time
first, last, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
with open("/proc/1/fd/1", "w") as log:
    for number in range(first, last):
        log.write(f"line {number}\\n")
        log.flush()
        time.sleep(pause)
"""


def say(product, agent, text):
    outcome = product.finished(product.run(agent, "python3", "-c", SAY, text))
    assert outcome["status"] == "succeeded", outcome


def log_of(product, agent):
    answer = product.get(f"/api/agents/{agent}/logs?tail=10000").json()
    assert not answer["truncated"]
    return answer["logs"].splitlines()


def numbers(lines):
    return [int(line.removeprefix("line ")) for line in lines if line.startswith("line ")]


def test_a_line_arrives_while_somebody_watches(product, agent):
    with product.socket(f"agent:{agent}:logs") as live:
        # Frames are answered in order, so the subscription is in force.
        live.send("rubbish")
        next_frame(live, "error")
        say(product, agent, "seen live")
        told = next_frame(live, "log", where=lambda told: "seen live" in told["lines"])
        assert told["topic"] == f"agent:{agent}:logs"


def test_a_stopped_agent_still_shows_its_log(product, agent):
    say(product, agent, "before the stop")
    product.post(f"/api/agents/{agent}/stop", {"timeout_seconds": 1}).raise_for_status()
    assert "before the stop" in log_of(product, agent)
    product.post(f"/api/agents/{agent}/start").raise_for_status()


def test_the_log_goes_on_after_restarts_and_in_a_new_container(product, agent, container_of):
    say(product, agent, "in the first life")
    product.post(f"/api/agents/{agent}/restart", {"timeout_seconds": 1}).raise_for_status()
    say(product, agent, "in the second life")
    container_of(product, agent).remove(force=True)
    wait_until(lambda: product.agent(agent)["status"] == "missing")
    product.post(f"/api/agents/{agent}/start").raise_for_status()
    say(product, agent, "in the third life")
    lives = [f"in the {number} life" for number in ("first", "second", "third")]
    wait_until(lambda: lives[-1] in log_of(product, agent))
    assert [line for line in log_of(product, agent) if line in lives] == lives


def test_a_viewer_comes_back_and_misses_nothing(product, agent):
    start = product.get(f"/api/agents/{agent}/logs").json()["next"]
    topic = f"agent:{agent}:logs"
    operation = product.run(agent, "python3", "-c", COUNT, "0", "300", "0.005")
    with product.socket(topic, after=start) as live:
        seen = next_frame(live, "log")
    with product.socket(topic, after=seen["seq"]) as live:
        lines = seen["lines"]

        def take():
            found = next_frame(live, "log")
            lines.extend(found["lines"])
            return "line 299" in lines

        wait_until(take, seconds=20, step=0)
    assert numbers(lines) == list(range(300))
    product.finished(operation)


def test_no_line_is_lost_or_doubled_when_the_product_is_killed(own_product):
    own_product.create_agent("counter")
    own_product.run("counter", "python3", "-c", COUNT, "0", "600", "0.01")
    for enough in (50, 200):
        wait_until(lambda: len(numbers(log_of(own_product, "counter"))) >= enough)  # noqa: B023
        own_product.kill()
        own_product.start()
    wait_until(lambda: "line 599" in log_of(own_product, "counter"), seconds=30)
    assert numbers(log_of(own_product, "counter")) == list(range(600))
