"""A recreation that is cut off, or fails, at any moment: there is always a container to go on with.

The moments are all effects on the engine and, where the process dies, all writes of its record.
"""

from contextlib import suppress
from datetime import timedelta

import pytest

from agents import reconcile
from agents.errors import EngineRefused, EngineUnavailable
from agents.models import Agent
from tests.agents.interrupted import (
    Killed,
    Witness,
    gone,
    interrupted,
    make_due,
    recreate,
    supervise,
)
from trinity.errors import TrinityError

pytestmark = pytest.mark.django_db

# As counted in a recreation that nothing disturbs; a test below sees that they are all.
WRITES_AND_EFFECTS = 14
EFFECTS = 8
NEVER = 1000


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(reconcile, "RETRY", timedelta(0))


@pytest.fixture
def witness(containers, monkeypatch):
    return Witness(containers, monkeypatch)


def undisturbed(_number):
    raise AssertionError("nothing was to happen here")


def test_these_are_all_moments(containers, witness):
    agent = make_due(runs=True)
    with interrupted(containers, at=NEVER, by=undisturbed) as seen:
        recreate(agent)
    assert len(seen) == WRITES_AND_EFFECTS, seen
    assert len([name for name in seen if name != "_write"]) == EFFECTS, seen
    witness.check(agent, status="running")
    assert agent.generation == 2


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("moment", range(WRITES_AND_EFFECTS))
def test_killed_after_each_moment_it_is_finished_or_undone(containers, witness, runs, moment):
    agent = make_due(runs=runs)

    def die(_number):
        raise Killed

    with interrupted(containers, at=moment, by=die), suppress(Killed):
        recreate(agent)
    Agent.objects.exclude(verb="").update(verb_holder=gone())
    supervise()
    witness.check(agent, status=expected_after(agent, runs))


def expected_after(agent, runs):
    """Who died before the wish to start was recorded has started nothing."""
    agent.refresh_from_db()
    return "running" if runs or agent.desired == "running" else "stopped"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", range(EFFECTS))
def test_where_the_engine_refuses_the_old_container_runs_again(containers, witness, moment, after):
    agent = make_due(runs=True)
    before = agent.container_id
    error = once(EngineRefused("The engine refused"))
    with interrupted(containers, at=moment, by=error, after=after, writes=False) as seen:
        outcome = attempt(agent)
    agent.refresh_from_db()
    if outcome is None:
        # Only what is left over could not be removed.
        assert seen[moment] == "remove"
        assert agent.generation == 2
    else:
        assert agent.container_id == before
        assert agent.status_reason.startswith("not recreated: The engine refused")
    supervise()
    witness.check(agent, status="running")


@pytest.mark.parametrize("moment", range(EFFECTS))
def test_where_it_fails_for_a_stopped_agent_nothing_runs(containers, witness, moment):
    agent = make_due(runs=False)
    before = agent.container_id
    error = once(EngineRefused("The engine refused"))
    with interrupted(containers, at=moment, by=error, writes=False):
        outcome = attempt(agent)
    agent.refresh_from_db()
    if outcome is not None:
        assert agent.container_id == before
    supervise()
    witness.check(agent, status="error" if outcome else "running")


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("moment", range(EFFECTS))
def test_where_the_engine_goes_the_supervisor_ends_it(containers, witness, runs, moment):
    agent = make_due(runs=runs)

    def leave(_number):
        raise EngineUnavailable("The engine is away")

    with interrupted(containers, at=moment, by=leave, writes=False):
        outcome = attempt(agent)
    supervise()
    # One who was told that the engine is away starts it again himself; nobody else did.
    stopped = isinstance(outcome, EngineUnavailable) and not runs
    witness.check(agent, status="stopped" if stopped else "running")


def once(error):
    """Raise it the first time only: what goes back must find an engine that works."""
    raised = []

    def fail(_number):
        if not raised:
            raised.append(error)
            raise error

    return fail


def attempt(agent):
    """Return the error that whoever asked for it is told, or None."""
    try:
        recreate(agent)
    except TrinityError as error:
        return error
    return None
