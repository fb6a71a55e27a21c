"""Of two who change a repository at once, the second is refused; nothing waits without end."""

import signal
from pathlib import Path

from tests.agents.agent_server.client import eventually, is_running, send
from tests.agents.agent_server.working_copy import WorkingCopy
from tests.git_server import forge_of
from tests.parallel import meanwhile


def test_a_second_sync_is_busy_and_the_first_goes_on(server, shared):
    with forge_of(shared.bare.parent) as forge:
        copy = WorkingCopy(server, forge.url(shared.bare.name))
        forge.gate.clear()
        with meanwhile(copy.sync) as first:
            eventually(lambda: forge.requests)
            for verb in ("sync", "pull"):
                assert copy.ask(verb, message="x")["code"] == "busy"
            forge.gate.set()
            assert first.result(30)["ok"]
        assert copy.sync()["ok"]


def test_a_lock_that_the_agents_git_holds_is_respected(copy):
    copy.cloned()
    copy.write(work="1")
    (copy.folder / ".git" / "index.lock").touch()
    assert copy.sync()["code"] == "git_failed"
    (copy.folder / ".git" / "index.lock").unlink()
    assert copy.sync()["files_changed"] == 1


def test_the_end_of_the_server_ends_its_git(server, shared):
    with forge_of(shared.bare.parent) as forge:
        copy = WorkingCopy(server, forge.url(shared.bare.name))
        forge.gate.clear()
        with server.client.authenticated() as stream:
            send(stream, {"verb": "git.sync", "message": "x", **copy.remote})
            eventually(lambda: forge.requests)
        children = git_processes(server.process.pid)
        assert children
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        eventually(lambda: not any(map(is_running, children)))


def git_processes(parent):
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children]
