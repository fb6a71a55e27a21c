"""A dockerd that Trinity starts: it outlives Ctrl-C, comes back after kill -9, and ends cleanly."""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.setup.shell import SETUP, environment, make_project, needs_dockerd, run, wait_until

pytestmark = [pytest.mark.live, needs_dockerd]
WAITING = "import time; print('product runs', flush=True); time.sleep(60)"


@pytest.fixture
def root(monkeypatch):
    # pytest's own directories have long names, and the path of a socket may have 108 bytes.
    with tempfile.TemporaryDirectory(prefix="tri") as directory:
        # The firewall belongs to the machine: without iptables the engine does not touch it.
        iptables = Path(directory) / "bin" / "iptables"
        iptables.parent.mkdir()
        iptables.symlink_to("/bin/false")
        monkeypatch.setenv("PATH", f"{iptables.parent}:{os.environ['PATH']}")
        yield Path(directory)
        run(f"{SETUP}/engine.sh stop", TRINITY_ENGINE_ROOT=directory)


def ensure(root):
    return run(f"{SETUP}/engine.sh ensure", TRINITY_ENGINE_ROOT=str(root))


def daemon_of(root):
    return int((root / "dockerd.pid").read_text())


def test_a_second_call_finds_the_engine_at_once(root):
    assert ensure(root).returncode == 0
    before = daemon_of(root)
    assert "engine answers" in ensure(root).stdout
    assert daemon_of(root) == before


def test_ctrl_c_ends_the_product_and_not_the_engine(root, tmp_path):
    product = subprocess.Popen(
        ["make", "up", "TRINITY_PORT=0"],
        cwd=make_project(tmp_path, manage=WAITING),
        env=environment(TRINITY_ENGINE_ROOT=str(root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: "product runs" in product.stdout.readline())
        os.killpg(product.pid, signal.SIGINT)
        product.communicate(timeout=10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(product.pid, signal.SIGKILL)
    assert os.getsid(daemon_of(root)) == daemon_of(root)
    assert "engine answers" in ensure(root).stdout


def test_it_starts_again_after_kill_9(root):
    ensure(root)
    killed = daemon_of(root)
    os.kill(killed, signal.SIGKILL)
    assert ensure(root).returncode == 0
    assert daemon_of(root) != killed


def test_it_starts_although_the_old_numbers_belong_to_others_now(root):
    ensure(root)
    os.kill(daemon_of(root), signal.SIGKILL)
    wait_until(
        lambda: run(f". {SETUP}/engine.sh; reach", TRINITY_ENGINE_ROOT=str(root)).stdout == "away\n"
    )
    for stale in (root / "dockerd.pid", root / "exec" / "containerd" / "containerd.pid"):
        stale.write_text(str(os.getpid()))
    assert ensure(root).returncode == 0


def test_stopping_leaves_no_process_and_no_mount(root):
    ensure(root)
    daemon = daemon_of(root)
    run(f"{SETUP}/engine.sh stop", TRINITY_ENGINE_ROOT=str(root))
    assert not (root / "dockerd.pid").exists()
    assert "dockerd" not in run(f"cat /proc/{daemon}/cmdline").stdout
    assert str(root) not in Path("/proc/mounts").read_text()
