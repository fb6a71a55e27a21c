# shellcheck shell=bash
# Debian's packages: whether we may install some, and installing them without starting services.
# Needs terminal.sh.

ENOUGH_KB=1048576

is_root() { [[ $(id -u) == 0 ]]; }

under_systemd() { [[ -d /run/systemd/system ]]; }

on_debian() {
    # shellcheck disable=SC1091
    command -v apt-get >/dev/null && [[ $(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") == debian ]]
}

# has_room DIRECTORY: fail with a clear line when less than 1 GB is free there.
has_room() {
    local free
    free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
    ((free >= ENOUGH_KB)) && return
    advise "Disk full: $((free / 1024)) MB are free at $1 and 1 GB is needed; free some and run this again."
    return 1
}

apt_get() {
    # RUNLEVEL=1 keeps maintainer scripts from starting services where systemd does not run.
    # Another apt at work (unattended-upgrades) is waited for.
    if under_systemd; then unset RUNLEVEL; else export RUNLEVEL=1; fi
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# Once per `make`: lists that are a day old name versions that mirrors no longer have.
refresh_packages() {
    [[ -n ${packages_refreshed:-} ]] && return
    watched "reading the package lists" apt_get update || return
    export packages_refreshed=yes
}

install_packages() {
    has_room /var && refresh_packages || return
    watched "installing $*" apt_get install -y --no-install-recommends "$@"
}

# provide COMMAND PACKAGE…: make sure of a command; without rights, say which packages have it.
provide() {
    local wanted=$1
    shift
    command -v "$wanted" >/dev/null && return
    if is_root && on_debian; then
        install_packages "$@"
    else
        advise "$wanted is missing. On Debian, run: sudo apt-get install $*"
        return 1
    fi
}
