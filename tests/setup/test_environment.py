"""The virtual environment agrees with the lock, and costs nothing when it does already."""

from tests.setup.shell import SETUP, run

LIBRARY = f". {SETUP}/terminal.sh; . {SETUP}/packages.sh; . {SETUP}/python.sh; cd $PLACE;"
PIP = "watched() { echo pip; };"


def install(directory):
    return run(f"{LIBRARY} {PIP} install_locked some.lock", PLACE=str(directory)).stdout


def test_a_lock_is_installed_once(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / "some.lock").write_text("a==1\n")
    assert "pip" in install(tmp_path)
    assert "pip" not in install(tmp_path)


def test_a_changed_lock_is_installed_again(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / "some.lock").write_text("a==1\n")
    install(tmp_path)
    (tmp_path / "some.lock").write_text("a==2\n")
    assert "pip" in install(tmp_path)


def test_an_installation_that_failed_is_tried_again(tmp_path):
    (tmp_path / ".venv").mkdir()
    (tmp_path / "some.lock").write_text("a==1\n")
    script = f"{LIBRARY} watched() {{ false; }}; install_locked some.lock"
    assert run(script, PLACE=str(tmp_path)).returncode == 1
    assert "pip" in install(tmp_path)


def test_an_environment_that_was_never_finished_is_made_again(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / ".venv" / "bin" / "python").chmod(0o755)
    script = f"{LIBRARY} watched() {{ echo $*; }}; python=some-python; make_environment"
    output = run(script, PLACE=str(tmp_path)).stdout
    assert "some-python -m venv --clear .venv" in output
