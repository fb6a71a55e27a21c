"""The engine itself: who it is, where it is, and that it is away."""

import gc

import pytest

from agents.errors import EngineUnavailable
from agents.runtime import Limits
from tests.contract.containers import UNKNOWN, read_log


def test_the_engine_tells_who_it_is(runtime):
    runtime.check()
    engine = runtime.describe()
    assert engine.id
    assert engine.name
    assert engine.cpus >= 1
    assert engine.memory_bytes > 0


def test_where_the_engine_keeps_its_data_can_be_seen_from_its_own_machine(runtime):
    assert runtime.disk().is_dir()


# docker-py leaves the socket open on which nobody answered.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_without_an_engine_every_verb_says_so(away):
    for verb in (away.check, away.describe):
        with pytest.raises(EngineUnavailable):
            verb()
    for verb in (away.start, away.stop, away.remove, away.remove_volume, away.inspect):
        with pytest.raises(EngineUnavailable):
            verb(UNKNOWN)
    with pytest.raises(EngineUnavailable):
        away.rename(UNKNOWN, "name")
    with pytest.raises(EngineUnavailable):
        away.update(UNKNOWN, Limits(1024**3, 1))
    with pytest.raises(EngineUnavailable):
        away.containers(instance="x")
    gc.collect()


async def test_without_an_engine_every_follower_says_so(away):
    with pytest.raises(EngineUnavailable):
        await anext(away.events(instance="x"))
    with pytest.raises(EngineUnavailable):
        await read_log(away, UNKNOWN)
