"""Programs that stop the agent server beside them, and with it its own care for their end."""

import pytest

from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

# Its processes have a name of their own; what it waits for shows that its line was stored.
FREEZE = """
echo begun
until [ -e "$TRINITY_WORKSPACE/now" ]; do sleep 0.05; done
rm "$TRINITY_WORKSPACE/now"
kill -STOP $PPID
exec sleep {number}
"""
# Takes a request for its end as the moment for it.
FREEZE_WHEN_TOLD = """
trap 'kill -STOP $PPID' TERM
echo begun
while true; do sleep 0.05; done
"""
# The server is there and hears nobody any more, and its program does not care for TERM.
HIDE = """
trap '' TERM
echo begun
rm -f /run/trinity/agent.sock
exec sleep 86421
"""
RESTART = "Restart the agent"


def begun(product, agent, program, **fields):
    operation = product.run(agent, "sh", "-c", program, **fields)
    wait_until(lambda: product.operation(operation)["result"]["logs"] == ["begun"], seconds=30)
    return operation


def freeze(container):
    touched = container.exec_run(["touch", "/home/developer/now"])
    assert touched.exit_code == 0, touched.output
    wait_until(lambda: "/now" not in str(container.top()) and is_frozen(container), seconds=10)


def is_frozen(container):
    states = container.top(ps_args="-eo pid,stat,args")["Processes"]
    return [row for row in states if "/opt/trinity" in row[-1] and row[1].startswith("T")]


def own(engine, operation):
    return engine.containers.get(f"operation-{operation}")


def left(product, engine, operation):
    found = [each["Names"][0] for each in engine.api.containers(all=True)]
    found += [each["Name"] for each in engine.api.volumes()["Volumes"] or []]
    found += [path.name for path in (product.data_dir / "sockets").iterdir()]
    return [name for name in found if operation in name]


def processes(container):
    return str(container.top()["Processes"])


def outcome_of(told):
    return told["status"], told["result"]["error"]


def test_an_isolated_one_does_not_outlive_its_time(embedded, frozen, engine):
    agent, _ = frozen
    operation = begun(
        embedded, agent, FREEZE.format(number=86422), isolated=True, timeout_seconds=5
    )
    freeze(own(engine, operation))
    told = embedded.finished(operation, seconds=40)
    assert outcome_of(told) == ("failed", "timeout")
    # Ten seconds for which it would have been asked nicely, and five for the server's own part.
    assert 19 < told["result"]["execution_time"] < 30
    assert told["result"]["logs"] == ["begun"]
    wait_until(lambda: not left(embedded, engine, operation), seconds=30)


@pytest.mark.parametrize("program", [FREEZE, HIDE])
def test_an_isolated_one_is_canceled(embedded, frozen, engine, program):
    agent, _ = frozen
    operation = begun(embedded, agent, program.replace("{number}", "86423"), isolated=True)
    if program == FREEZE:
        freeze(own(engine, operation))
    [told] = embedded.cancel(operation)
    assert told["result"]["logs"] == ["begun"]
    wait_until(lambda: not left(embedded, engine, operation), seconds=30)


def test_an_isolated_one_that_waits_for_the_cancel_is_stopped_in_time(embedded, frozen, engine):
    agent, _ = frozen
    operation = begun(embedded, agent, FREEZE_WHEN_TOLD, isolated=True)
    [told] = embedded.cancel(operation)
    # Its shell may say what became of the program that it waited for.
    assert told["result"]["logs"] in (["begun"], ["begun", "Terminated"])
    wait_until(lambda: not left(embedded, engine, operation), seconds=30)


def test_one_in_an_agent_ends_in_time_and_says_what_is_to_be_done(embedded, frozen):
    agent, container = frozen
    # In turn: whoever comes second finds the server frozen.
    operation = begun(embedded, agent, FREEZE.format(number=86424), timeout_seconds=5)
    other = begun(embedded, agent, "echo begun; exec sleep 86425")
    freeze(container)
    unbegun = embedded.run(agent, "true")
    for told in embedded.cancel(other, unbegun):
        assert RESTART in told["result"]["summary"]
    told = embedded.finished(operation, seconds=40)
    assert outcome_of(told) == ("failed", "timeout")
    assert RESTART in told["result"]["summary"]
    assert told["result"]["logs"] == ["begun"]
    assert "86424" in processes(container)
    # Told by what it says, somebody does it.
    embedded.post(f"/api/agents/{agent}/restart", {"timeout_seconds": 1}).raise_for_status()
    assert embedded.finished(embedded.run(agent, "true"))["status"] == "succeeded"
    assert not {"86424", "86425"} & set(processes(container).split("'"))
    assert [outcome_of(embedded.operation(each)) for each in (operation, other)] == [
        ("failed", "timeout"),
        ("canceled", None),
    ]


def test_what_is_left_of_one_in_an_agent_goes_when_its_server_goes_on(embedded, frozen):
    agent, container = frozen
    operation = begun(embedded, agent, FREEZE.format(number=86426))
    freeze(container)
    embedded.cancel(operation)
    assert "86426" in processes(container)
    container.kill("CONT")
    wait_until(lambda: "86426" not in processes(container), seconds=40)
    assert outcome_of(embedded.operation(operation)) == ("canceled", None)


@pytest.fixture
def frozen(embedded, container_of):
    """An agent whose server is going to be stopped, and its container."""
    embedded.create_agent("frozen", resources={"memory": "1g", "cpu": "1"})
    yield "frozen", container_of(embedded, "frozen")
    embedded.call("DELETE", "/api/agents/frozen")
