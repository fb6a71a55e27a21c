"""Repositories over HTTP from inside of real containers, through the rules of their network."""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

from tests import engines, machines
from tests.live.conftest import running
from tests.machines import PRIVATE, PUBLIC
from tests.product import next_frame
from tests.repositories import Shared, git
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

TOOLS = ("ip", "iptables", "ip6tables", "nsenter", "unshare", "setpriv", "dockerd", "git")
SERVER = Path(machines.__file__).with_name("git_server.py")
PORT, PRIVATE_PORT = 8418, 8419
TOKEN = "a token of the forge"
# Resolved by the machine's nameserver to an address of the internet.
FORGE = f"http://forge.example:{PORT}/shared.git"
NAME = "scribe"
PATH = f"/api/agents/{NAME}"

# What a hostile program leaves where git would run it.
TRAP = """
import pathlib
repo = pathlib.Path("/home/developer/repo")
program = pathlib.Path("/home/developer/program")
program.write_text("#!/bin/sh\\ntouch /home/developer/sprung\\n")
program.chmod(0o755)
(repo / ".git/hooks").mkdir(exist_ok=True)
for name in ("pre-commit", "post-commit", "pre-push", "post-merge", "reference-transaction"):
    (repo / ".git/hooks" / name).symlink_to(program)
with (repo / ".git/config").open("a") as config:
    config.write('[core]\\n\\tfsmonitor = /home/developer/program\\n')
    config.write('[filter "evil"]\\n\\tclean = /home/developer/program\\n')
    config.write('\\tsmudge = /home/developer/program\\n')
    config.write('[credential]\\n\\thelper = !/home/developer/program\\n')
(repo / ".gitattributes").write_text("* filter=evil\\n")
(repo / "trapped").write_text("1")
"""

# Given backwards, since what an operation runs is on the disk.
SEARCH = """
import os, sys
wanted, found = sys.argv[1][::-1].encode(), []
for top in ("/home/developer", "/tmp", "/var/lib/trinity", "/run/trinity"):
    for folder, _, names in os.walk(top):
        paths = filter(os.path.isfile, [os.path.join(folder, name) for name in names])
        found += [path for path in paths if wanted in open(path, "rb").read()]
print(found)
"""


@pytest.fixture(scope="module")
def machine():
    lacking = [tool for tool in TOOLS if which(tool) is None]
    if lacking or not engines.is_root():
        reason = f"a machine cannot be pretended here: {lacking or 'only root may'}"
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", reason
        pytest.skip(reason)
    with machines.machine() as machine:
        yield machine


@pytest.fixture(scope="module")
def engine(machine):
    with engines.private_engine(wrapper=machine.wrapper, options=()) as engine:
        yield engine


@pytest.fixture(scope="module")
def product(machine, engine):
    environment = {"TRINITY_GIT_TRANSPORTS": "https,ssh,http"}
    environment["TRINITY_GIT_ALLOWED_HOSTS"] = PRIVATE[0]
    with (
        machines.entered(machine.name),
        running(engine=engine.url, wrapper=machine.wrapper, environment=environment) as product,
    ):
        yield product


@pytest.fixture(scope="module")
def shared(machine, tmp_path_factory):
    """A repository served in the world outside: to everybody, and at another port by token."""
    folder = tmp_path_factory.mktemp("forge")
    shared = Shared(folder)
    shared.commit(README="Hello\n")
    with serving(machine.world, PORT, folder), serving(machine.world, PRIVATE_PORT, folder, TOKEN):
        yield shared


@contextmanager
def serving(namespace, port, folder, token=""):
    process = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{namespace}", sys.executable, SERVER, str(port), folder],
        env={**os.environ, "FORGE_TOKEN": token},
    )
    try:
        wait_until(lambda: answers(namespace, port))
        yield
    finally:
        process.kill()
        process.wait(10)


def answers(namespace, port):
    with machines.entered(namespace), socket.socket() as client:
        return client.connect_ex((PUBLIC[0], port)) == 0


@pytest.fixture(scope="module")
def branch(product, shared):
    """The branch of an agent whose working copy has made itself."""
    product.create_agent(NAME, github_repo=FORGE)
    wait_until(lambda: status(product).get("last_commit"), seconds=60)
    return product.get(f"{PATH}/git/config").json()["working_branch"]


def status(product):
    return product.get(f"{PATH}/git/status").json()


def run(product, program, *arguments):
    ended = product.finished(product.run(NAME, "python3", "-c", program, *arguments))
    assert ended["status"] == "succeeded", ended
    return ended["result"]["logs"]


def write(product, path, text):
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    run(product, code, f"/home/developer/repo/{path}", text)


def post(product, verb, **fields):
    answer = product.post(f"{PATH}/git/{verb}", fields)
    return answer.status_code, answer.json()


def test_work_goes_out_and_comes_in(product, shared, branch):
    synced(product, NAME)
    write(product, "work", "of the agent")
    write(product, ".env", "SECRET=1")
    code, told = post(product, "sync", message="Work")
    assert (code, told["files_changed"], told["message"]) == (200, 1, "Committed 1 file, pushed")
    assert told["commit_sha"] == shared.sha(branch)
    assert "work" in shared.files(branch)
    assert ".env" not in shared.files(branch)
    shared.commit(branch, theirs="of others")
    assert (status(product)["ahead"], status(product)["behind"]) == (0, 1)
    assert post(product, "pull")[1]["message"] == "Pulled 1 commit"
    assert run(product, "print(open('/home/developer/repo/theirs').read())") == ["of others"]
    assert status(product)["sync_status"] == "up_to_date"
    log = product.get(f"{PATH}/git/log?limit=2").json()
    assert [commit["message"] for commit in log["commits"]] == ["more", "Work"]


def test_its_state_is_pushed(product, shared, branch):
    post(product, "sync")
    with product.socket(f"agent:{NAME}") as live:
        write(product, "more", "work")
        told = next_frame(live, "git_status", seconds=30, where=lambda told: told["changes_count"])
        assert told["name"] == NAME
        assert told["changes"] == [{"status": "??", "path": "more"}]
        post(product, "sync")
        next_frame(
            live,
            "git_status",
            seconds=30,
            where=lambda told: told["sync_status"] == "up_to_date",
        )


def test_nothing_that_lies_in_the_repository_is_run(product, shared, branch):
    run(product, TRAP)
    assert post(product, "sync")[0] == 200
    shared.commit(branch, **{"more-of-theirs": "1"})
    assert post(product, "pull")[0] == 200
    assert "trapped" in shared.files(branch)
    assert run(product, "import os; print(os.path.exists('/home/developer/sprung'))") == ["False"]
    # It is a trap: git itself falls into it.
    product.finished(product.run(NAME, "git", "-C", "/home/developer/repo", "status"))
    assert run(product, "import os; print(os.path.exists('/home/developer/sprung'))") == ["True"]


def test_diverged_histories_stay_as_they_are(product, shared, branch):
    post(product, "sync")
    theirs = shared.commit(branch, both="theirs")
    write(product, "both", "ours")
    code, body = post(product, "sync")
    assert (code, body["code"]) == (400, "git_diverged")
    assert shared.sha(branch) == theirs
    assert run(product, "print(open('/home/developer/repo/both').read())") == ["ours"]
    run(product, "import os; os.remove('/home/developer/repo/both')")
    assert post(product, "sync")[0] == 200


def test_a_private_repository_opens_by_the_agents_secret(product, shared):
    name, path = "keeper", "/api/agents/keeper"
    product.create_agent(name, github_repo=f"http://forge.example:{PRIVATE_PORT}/shared.git")
    code, body = synced(product, name)
    assert (code, body["code"]) == (400, "git_failed")
    variables = {"variables": [{"name": "GIT_TOKEN", "value": TOKEN}]}
    assert product.call("PUT", f"{path}/environment", variables).status_code == 200
    product.post(f"{path}/restart", {"timeout_seconds": 1}).raise_for_status()
    code, body = synced(product, name)
    assert (code, body.get("commit_sha")) == (200, shared.sha("main"))
    looked = product.run(name, "python3", "-c", SEARCH, TOKEN[::-1])
    assert product.finished(looked)["result"]["logs"] == ["[]"]


def synced(product, name):
    """Sync once the agent's own attempt, at its start, is over."""

    def attempt():
        answer = product.post(f"/api/agents/{name}/git/sync", timeout=220)
        return None if answer.status_code == 409 else (answer.status_code, answer.json())

    return wait_until(attempt, seconds=250)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.20.0.2", "169.254.169.254", PRIVATE[1]])
def test_an_address_of_the_host_and_its_networks_is_refused(product, branch, host):
    body = {"github_repo": f"http://{host}:{PORT}/shared.git"}
    answer = product.call("PUT", f"{PATH}/git/config", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_repository")


def test_where_it_is_allowed_the_rules_of_the_network_still_hold(product, shared):
    product.create_agent("locked", github_repo=f"http://{PRIVATE[0]}:{PORT}/shared.git")
    code, body = synced(product, "locked")
    assert (code, body["code"]) == (400, "git_failed")


def test_the_other_end_is_what_it_seems(machine, shared):
    """What the refusals above rely on: it does answer, there as here."""
    with machines.entered(machine.world):
        for host in (PUBLIC[0], PRIVATE[0]):
            assert git(shared.theirs, "ls-remote", f"http://{host}:{PORT}/shared.git", "main")
