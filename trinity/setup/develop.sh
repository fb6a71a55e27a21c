#!/usr/bin/env bash
# The virtual environment with what the product and its developers need.

set -uo pipefail
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$setup/../.." || exit 1
# shellcheck source=trinity/setup/terminal.sh
. "$setup/terminal.sh"
# shellcheck source=trinity/setup/packages.sh
. "$setup/packages.sh"
# shellcheck source=trinity/setup/python.sh
. "$setup/python.sh"

find_python
make_environment
install_locked requirements-dev.lock
