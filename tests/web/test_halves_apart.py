"""The halves of the product start only where they can tell each other what happens."""

import os
import subprocess
import sys

import pytest

from tests.product import ROOT


def start(command, folder, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env={**os.environ, "TRINITY_DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["serve", "supervise"])
def test_without_redis_a_half_says_what_to_do_and_does_not_start(command, tmp_path):
    refused = start(command, tmp_path, REDIS_URL="")
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("CommandError: REDIS_URL is not set")
    assert line.endswith("or run manage.py up, which needs none")
