"""Long steps say that they are at work and how long they took."""

import re

from tests.setup.shell import SETUP, run

LIBRARY = f". {SETUP}/terminal.sh;"


def test_a_command_above_two_seconds_shows_progress_and_its_duration():
    output = run(f"{LIBRARY} watched 'installing it' sleep 2.5").stdout
    progress, done = output.splitlines()
    assert progress == "  installing it … 2 s"
    assert re.fullmatch(r"  installing it +2\.\d s", done)


def test_a_command_that_fails_shows_its_last_lines_and_its_exit_code():
    watched = run(f"{LIBRARY} watched 'installing it' bash -c 'echo no such package; exit 7'")
    assert watched.returncode == 7
    assert "    no such package" in watched.stderr
    assert "! installing it failed (exit code 7)." in watched.stderr


def test_ctrl_c_ends_the_script_although_the_command_ends_in_good_order():
    polite = "trap 'exit 1' INT; kill -INT $PPID $$; sleep 5"
    script = f"{LIBRARY} watched 'installing it' bash -c \"$POLITE\"; echo went on"
    interrupted = run(script, POLITE=polite)
    assert interrupted.returncode == 130
    assert "went on" not in interrupted.stdout
