"""What a container uses, and how much it may."""

from agents.runtime import Limits
from tests.contract.containers import start


def test_a_running_container_is_sampled(runtime, make_spec):
    runs = runtime.inspect(start(runtime, make_spec()))
    idle = runtime.inspect(runtime.create(make_spec()))
    usage = runtime.usage([runs, idle])
    assert set(usage) == {runs.id}
    assert usage[runs.id].cpu_seconds > 0
    assert usage[runs.id].memory_bytes > 0
    assert usage[runs.id].at > 0


def memory_limit(runtime, container_id):
    container = runtime.inspect(container_id)
    return runtime.usage([container])[container_id].memory_limit_bytes


def test_limits_of_a_running_container_go_up_and_down(runtime, make_spec):
    container_id = start(runtime, make_spec())
    pid = runtime.inspect(container_id).pid
    for mebibytes in (1024, 128, 512):
        runtime.update(container_id, Limits(mebibytes * 1024**2, 1.5))
        assert memory_limit(runtime, container_id) == mebibytes * 1024**2
    assert runtime.inspect(container_id).pid == pid


def test_limits_of_a_stopped_container_are_those_of_its_next_start(runtime, make_spec):
    spec = make_spec()
    container_id = runtime.create(spec)
    for mebibytes in (1024, 128):
        runtime.update(container_id, Limits(mebibytes * 1024**2, 1.5))
    start(runtime, spec)
    assert memory_limit(runtime, container_id) == 128 * 1024**2
