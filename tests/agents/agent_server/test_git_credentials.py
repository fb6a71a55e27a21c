"""A token of the agent's environment opens its repository, and goes nowhere else."""

import os
from pathlib import Path

import pytest

from tests.agents.agent_server.client import eventually
from tests.agents.agent_server.working_copy import BRANCH, WorkingCopy
from tests.git_server import forge_of
from tests.parallel import meanwhile

TOKEN = "token-$HOME`id`\"'\\ x"  # whatever a shell or a configuration would make of it


@pytest.fixture
def forge(shared):
    with forge_of(shared.bare.parent) as forge:
        forge.token = TOKEN
        yield forge


@pytest.fixture
def private(server, forge, shared):
    return WorkingCopy(server, forge.url(shared.bare.name))


def give(copy, **environment):
    assert copy.server.client.ask("configure", environment=environment)["ok"]


def test_a_private_repository_is_cloned_pushed_and_asked(private, shared):
    give(private, GIT_TOKEN=TOKEN)
    private.cloned()
    private.write(work="1")
    assert private.sync()["message"] == "Committed 1 file, pushed"
    assert shared.files(BRANCH) == ["README", "work"]
    assert (private.status()["behind"], private.status()["problem"]) == (0, "")


@pytest.mark.parametrize("environment", [{}, {"GIT_TOKEN": "wrong"}, {"GITHUB_TOKEN": TOKEN}])
def test_without_the_right_one_it_says_so_in_time(private, forge, environment):
    give(private, **environment)
    answer = private.sync()
    assert answer["code"] == "git_failed"
    assert "git ls-remote: fatal" in answer["detail"]
    # One for GitHub is not shown to others.
    assert {password for _, _, password in forge.requests} <= {None, "wrong"}


def test_it_is_not_sent_where_nobody_asks_for_it(private, forge):
    forge.token = None
    give(private, GIT_TOKEN=TOKEN)
    private.cloned()
    assert {password for _, _, password in forge.requests} == {None}


def test_it_does_not_follow_to_another_place(private, forge, tmp_path):
    give(private, GIT_TOKEN=TOKEN)
    with forge_of(tmp_path) as elsewhere:
        forge.moved_to = elsewhere.url("")[:-1]
        assert private.sync()["code"] == "git_failed"
        assert elsewhere.requests == []


def test_it_is_on_no_command_line_and_on_no_disk(private, forge, server):
    give(private, GIT_TOKEN=TOKEN)
    forge.gate.clear()
    with meanwhile(private.sync) as syncing:
        eventually(lambda: forge.requests)
        seen = [line for line in command_lines() if b"ls-remote" in line]
        forge.gate.set()
        assert syncing.result(30)["ok"]
    assert seen
    assert not any(TOKEN.encode() in line for line in seen)
    for folder in (server.workspace, server.spool, server.run):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert not any(TOKEN.encode() in path.read_bytes() for path in files)


def test_it_is_not_repeated_in_what_is_told(private, forge, shared):
    give(private, GIT_TOKEN=TOKEN)
    private.cloned()
    hook = shared.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat >&2 <<'END'\nyour token is {TOKEN}\nEND\nexit 1\n")
    hook.chmod(0o755)
    private.write(work="1")
    answer = private.sync()
    assert answer["code"] == "git_failed"
    assert TOKEN not in answer["detail"]


def command_lines():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
