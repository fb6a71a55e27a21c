#!/usr/bin/env bash
# From a fresh clone to a running product; every step is skipped when nothing is left to do.

set -uo pipefail
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$setup/../.." || exit 1
# shellcheck source=trinity/setup/terminal.sh
. "$setup/terminal.sh"
# shellcheck source=trinity/setup/packages.sh
. "$setup/packages.sh"
# shellcheck source=trinity/setup/python.sh
. "$setup/python.sh"

# Asked before anything is installed, not after minutes of it.
check_port() {
    local host=${TRINITY_HOST:-127.0.0.1} port=${TRINITY_PORT:-8000}
    "$python" -I - "$host" "$port" <<'PYTHON' && return
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
except OSError as error:
    sys.exit(98 if error.errno in (98, 48) else 0)
PYTHON
    fail "Port $port is taken on $host: stop what listens there, or run: make up TRINITY_PORT=$((port + 1))"
}

say "Setting up Trinity in $PWD"
started=$(milliseconds)
find_python
check_port
make_environment
install_locked requirements.lock
export PYTHON=$VENV/bin/python
# Without an engine the product starts all the same and shows it as away.
"$setup/engine.sh" ensure
took "$started" "everything is set up; starting Trinity"
exec "$PYTHON" manage.py up
