"""What can go wrong with an operation, in both forms: how it is told, and that nothing is left.

That the engine is away is in ``test_engine_away``.
"""

import json
from contextlib import suppress
from uuid import uuid4

import docker
import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

IMAGE = "trinity-agent-base:latest"
IN_AGENT, ISOLATED = {}, {"isolated": True}
STUBBORN = "trap '' TERM; sleep 9876 & while :; do sleep 1; done"


@pytest.fixture(scope="module")
def product(embedded):
    return embedded


@pytest.fixture(scope="module")
def broken_image(engine):
    """Make images that the engine has, and that are of no use; gives their names."""
    made = []

    def make(change):
        container = engine.api.create_container(IMAGE)["Id"]
        tag = f"broken-{len(made)}-{uuid4().hex[:8]}"
        engine.api.commit(container, "trinity-test", tag, changes=[change])
        engine.api.remove_container(container)
        made.append(f"trinity-test:{tag}")
        return made[-1]

    yield make
    for name in made:
        with suppress(docker.errors.APIError):
            engine.images.remove(name)


@pytest.fixture
def with_image(product, agent):
    """Give the agent another image behind Trinity's back, as far as it is recorded."""

    def use(name):
        code = f"from agents.models import Agent; Agent.objects.filter(name={agent!r})"
        product.manage("shell", "-v0", "-c", f"{code}.update(image={name!r})")

    yield use
    use(IMAGE)


def outcome(product, operation):
    """As it is told to those who ask, and to those who follow."""
    told = product.finished(operation)
    result = told["result"]
    end = list(product.stream(operation))[-1][1]
    assert (end["type"], end["status"]) == ("end", told["status"])
    assert end["exit_code"] == result["exit_code"]
    return told["status"], result["error"], result["exit_code"], result["logs"]


def nothing_left(product, engine, agent, *operations):
    wait_until(lambda: not left(product, engine, agent, operations), seconds=30, step=0.2)


def left(product, engine, agent, operations):
    found = [each["Names"][0] for each in engine.api.containers(all=True)]
    found += [each.name for each in engine.volumes.list()]
    found += [path.name for path in (product.data_dir / "sockets").iterdir()]
    container = engine.containers.get(product.agent(agent)["container_id"])
    found += inside(container, "ls /var/lib/trinity/spool/operations").split()
    found += inside(container, "cat /proc/[0-9]*/environ | tr '\\0' '\\n'").split()
    shown = product.get(f"/api/v1/operations?agent={agent}").json()
    found += [each["id"] for each in shown if each["status"] in {"starting", "processing"}]
    return [name for name in found if any(each in name for each in operations)]


def inside(container, script):
    return container.exec_run(["sh", "-c", script]).output.decode(errors="replace")


@pytest.mark.parametrize(
    ("change", "exit_code"),
    [
        # The engine cannot start it; and it starts, and ends at once.
        ("WORKDIR /etc/passwd", ""),
        ('ENTRYPOINT ["/no/such/server"]', "127"),
    ],
)
def test_an_image_that_does_not_start(
    product, agent, engine, broken_image, with_image, change, exit_code
):
    with_image(broken_image(change))
    operation = product.run(agent, "true", **ISOLATED)
    assert outcome(product, operation) == ("failed", "start_failed", None, [])
    assert exit_code in product.operation(operation)["result"]["summary"]
    nothing_left(product, engine, agent, operation)


def test_an_image_that_is_missing(product, agent, engine, with_image):
    with_image("no-such-image:1")
    operation = product.run(agent, "true", **ISOLATED)
    assert outcome(product, operation) == ("failed", "image_missing", None, [])
    nothing_left(product, engine, agent, operation)


@pytest.mark.parametrize("form", [IN_AGENT, ISOLATED])
def test_a_program_that_is_missing_ends_at_once_prints_nothing_or_takes_too_long(
    product, agent, engine, form
):
    expected = {
        product.run(agent, "no-such-program", **form): ("failed", "start_failed", None, []),
        product.run(agent, "sh", "-c", "exit 3", **form): ("failed", "exited", 3, []),
        product.run(agent, "true", **form): ("succeeded", None, 0, []),
    }
    slow = product.run(agent, "sh", "-c", STUBBORN, timeout_seconds=1, **form)
    wait_until(lambda: left(product, engine, agent, [slow]))
    expected[slow] = ("failed", "timeout", -9, [])
    assert {each: outcome(product, each) for each in expected} == expected
    nothing_left(product, engine, agent, *expected)


def test_an_id_that_nobody_knows(product):
    for unknown in (uuid4(), "rubbish"):
        path = f"/api/v1/operations/{unknown}"
        answers = [product.get(path), product.get(f"{path}/stream"), product.get(f"{path}/logs")]
        answers += [product.post(f"{path}/cancel"), product.get(f"{path}/artifacts")]
        assert [answer.status_code for answer in answers] == [404] * 5
        if unknown != "rubbish":
            codes = {json.loads(answer.content)["code"] for answer in answers}
            assert codes == {"operation_not_found"}
