"""Runs a command with tests on PostgreSQL: ``python -m tests.on_postgres COMMAND…``."""

import os
import subprocess
import sys

from tests import servers

if __name__ == "__main__":
    with servers.postgres() as url:
        environment = {**os.environ, "TRINITY_TEST_DATABASE_URL": url}
        sys.exit(subprocess.run(sys.argv[1:], env=environment, check=False).returncode)
