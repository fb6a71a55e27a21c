#!/usr/bin/env bash
# Everything the tests need, then the tests. TRINITY_REQUIRE_ENGINE=1: no engine is a failure.

set -uo pipefail
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$setup/../.." || exit 1
# shellcheck source=trinity/setup/terminal.sh
. "$setup/terminal.sh"
# shellcheck source=trinity/setup/packages.sh
. "$setup/packages.sh"
# shellcheck source=trinity/setup/python.sh
. "$setup/python.sh"

# Some images set it; several hundred processes of the tests would each compile what they import.
unset PYTHONDONTWRITEBYTECODE

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null; }
has_nginx() { command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]]; }

# The tests start servers of their own; those of packages that we install are to stay off.
provide_servers() {
    local missing=() service
    command -v chromium >/dev/null || missing+=(chromium)
    has_postgres || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    has_nginx || missing+=(nginx-light)
    command -v curl >/dev/null || missing+=(curl)
    # Machines with networks of their own are pretended with these.
    command -v ip >/dev/null || missing+=(iproute2)
    command -v iptables >/dev/null || missing+=(iptables)
    ((${#missing[@]})) || return 0
    if ! is_root || ! on_debian; then
        advise "Tests that need them are skipped; to run them: sudo apt-get install ${missing[*]}"
        return
    fi
    install_packages "${missing[@]}" || return
    for service in postgresql redis-server nginx; do
        if under_systemd && [[ " ${missing[*]} " == *" $service"* ]]; then
            systemctl disable --now "$service" >/dev/null 2>&1
        fi
    done
}

build_image() {
    local started
    started=$(milliseconds)
    "$PYTHON" manage.py build_image || fail "The agent image cannot be built; the lines above say why."
    took "$started" "the agent image is there"
}

started=$(milliseconds)
find_python
make_environment
install_locked requirements-dev.lock
export PYTHON=$VENV/bin/python
provide_servers
engine=
if "$setup/engine.sh" ensure; then
    engine=yes
    build_image
elif [[ ${TRINITY_REQUIRE_ENGINE:-0} == 1 ]]; then
    fail "No container engine, and TRINITY_REQUIRE_ENGINE=1 asks for one."
fi
took "$started" "everything the tests need"

if (($#)); then
    "$PYTHON" -m pytest "$@"
    status=$?
else
    TRINITY_EVERY_ANSWER=1 "$PYTHON" -m pytest -n 3 --dist loadfile --no-loadscope-reorder
    status=$?
    if has_postgres; then
        say "The tests of agents and operations again, on PostgreSQL"
        "$PYTHON" -m tests.on_postgres "$PYTHON" -m pytest -n 3 -m "not live" tests/agents tests/operations \
            --ignore tests/agents/agent_server || status=$?
    fi
fi
if [[ -z $engine ]]; then
    advise "The live tests were skipped: no container engine is to be had; the lines at the top say why."
fi
exit "$status"
