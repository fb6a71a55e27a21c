"""Runs the shell of trinity/setup: single functions, or `make` in a small project of its own."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SETUP = PROJECT / "trinity" / "setup"
CAN_RUN_ENGINE = os.geteuid() == 0 and shutil.which("dockerd", path="/usr/sbin:/usr/bin")

needs_dockerd = pytest.mark.skipif(not CAN_RUN_ENGINE, reason="needs root and dockerd")


def environment(**changes):
    cleared = {name: value for name, value in os.environ.items() if "DOCKER" not in name}
    for name in (
        "TRINITY_ENGINE_ROOT",
        "TRINITY_INSTALL_ENGINE",
        "TRINITY_PORT",
        "MAKEFLAGS",
        "MAKELEVEL",
    ):
        cleared.pop(name, None)
    return cleared | {"PYTHON": sys.executable} | changes


def run(script, **changes):
    return subprocess.run(
        ["bash", "-c", script],
        cwd=PROJECT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def engine(script, **changes):
    """Run lines in which the functions of engine.sh can be called and replaced."""
    return run(f". {SETUP}/engine.sh; {script}", **changes)


def make_project(directory, manage="print('manage.py', *__import__('sys').argv[1:])"):
    """Make a clone whose environment is complete and whose product is one stub line."""
    shutil.copy(PROJECT / "Makefile", directory)
    shutil.copytree(SETUP, directory / "trinity" / "setup")
    (directory / "manage.py").write_text(manage)
    (directory / ".venv" / "bin").mkdir(parents=True)
    (directory / ".venv" / ".complete").touch()
    (directory / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (directory / "requirements.lock").touch()
    (directory / ".venv" / "requirements.lock.installed").touch()
    return directory


def make(project, *arguments, **changes):
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def wait_until(condition, *, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
