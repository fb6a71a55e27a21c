"""A restore that does not come to its end."""

import pytest

pytestmark = pytest.mark.timeout(300)


#: A restore whose last step goes wrong.
BROKEN = """
from unittest.mock import patch
from django.core.management import call_command
with patch("trinity.management.restore._only_report", side_effect={}):
    call_command("restore", {!r}, replace=True)
"""


def test_a_restore_that_fails_in_the_middle_leaves_all_as_it_was(used, backup, before):
    files = used.files()
    # The database is in place by then, and the files are exchanged.
    script = BROKEN.format("OSError('no space')", str(backup))
    assert "no space" in used.run("shell", "-v0", "-c", script).stderr
    assert without_database(used.files()) == without_database(files)
    assert used.told() == before


def test_after_a_restore_that_was_killed_nothing_starts_before_it_is_repeated(used, backup, before):
    script = BROKEN.format("lambda _: __import__('os')._exit(9)", str(backup))
    assert used.run("shell", "-v0", "-c", script).returncode == 9
    assert "broken off" in used.refused("up")
    used.manage("restore", "--replace", str(backup))
    assert used.told()["agents"] == before["agents"]
    assert not (used.folder / "restore-unfinished").exists()
    assert [path.name for path in used.folder.glob(".*")] == []


def without_database(files):
    return {name: content for name, content in files.items() if "sqlite" not in name}
