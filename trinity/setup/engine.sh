#!/usr/bin/env bash
# Makes sure that a container engine answers, and undoes what was done for that.
#
#   engine.sh ensure    an engine that answers is used as it is; else start or install one
#   engine.sh stop      end the dockerd that `ensure` started, and its containers
#   engine.sh remove    stop, put the firewall back, remove the packages that `ensure` installed
#
# TRINITY_INSTALL_ENGINE=0 forbids to install or start one. TRINITY_ENGINE_ROOT names a directory
# for an engine apart from any other of the machine: socket, pid file, log and data are below it.

set -uo pipefail
setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=trinity/setup/terminal.sh
. "$setup/terminal.sh"
# shellcheck source=trinity/setup/packages.sh
. "$setup/packages.sh"

python=${PYTHON:-python3}
START_SECONDS=30
AGENT_IMAGE=trinity-agent-base:latest
# What dockerd needs to hear where iptables or bridges do not work: networks `none` and `host` only.
WITHOUT_NETWORK=(--iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none)

lay_out() {
    if [[ -n ${TRINITY_ENGINE_ROOT:-} ]]; then
        record=$TRINITY_ENGINE_ROOT/record
        engine_data=$TRINITY_ENGINE_ROOT/data
        engine_exec=$TRINITY_ENGINE_ROOT/exec
        pid_file=$TRINITY_ENGINE_ROOT/dockerd.pid
        socket=$TRINITY_ENGINE_ROOT/docker.sock
        address=unix://$socket
    else
        record=/var/lib/trinity-engine
        engine_data=/var/lib/docker
        engine_exec=/var/run/docker
        pid_file=/var/run/docker.pid
        socket=/var/run/docker.sock
        address=${DOCKER_HOST:-unix://$socket}
    fi
    engine_log=$record/dockerd.log
}

ask_engine() { "$python" -I "$setup/engine_socket.py" "$address" "$@"; }

# What stands at the address: here, denied or away.
reach() {
    local status=0
    ask_engine ping 2>/dev/null || status=$?
    case $status in
    0) echo here ;;
    3) echo denied ;;
    *) echo away ;;
    esac
}

# A process that has ended and that nobody has waited for (Z, X) is none.
runs() { grep -qs "($1) [^ZX]" /proc/[0-9]*/stat; }

# is_running PID_FILE NAME: the number in the file is that of a living process of this name.
is_running() {
    local pid
    pid=$(cat "$1" 2>/dev/null) && grep -qs "($2) [^ZX]" "/proc/$pid/stat"
}

# Print the container software that is on this machine already, whether it runs or not.
other_engine() {
    local name
    for name in dockerd podman containerd kubelet k3s; do
        if command -v "$name" >/dev/null || runs "$name"; then
            echo "$name"
            return
        fi
    done
    return 1
}

# What `ensure` should do, in one word, or two where the second names the hindrance.
plan() {
    local found
    found=$(reach)
    if [[ $found == here ]]; then
        echo use
    elif [[ $found == denied ]]; then
        echo denied
    elif [[ $address != "unix://$socket" ]]; then
        echo elsewhere
    elif [[ ${TRINITY_INSTALL_ENGINE:-1} == 0 ]]; then
        echo forbidden
    elif ! is_root; then
        echo powerless
    elif command -v dockerd >/dev/null; then
        echo start
    elif found=$(other_engine); then
        echo "occupied $found"
    elif ! on_debian; then
        echo foreign
    else
        echo install
    fi
}

firewall_policy() { iptables -w 5 -S FORWARD 2>/dev/null | sed -n 's/^-P FORWARD //p'; }

# Written before anything is changed, and never again: it says how the machine was.
remember_machine() {
    mkdir -p "$record"
    if ! [[ -e $record/forward-policy ]]; then
        # A machine without iptables forwards as the kernel does: whatever comes.
        firewall_policy | grep . >"$record/forward-policy" || echo ACCEPT >"$record/forward-policy"
        cat /proc/sys/net/ipv4/ip_forward >"$record/ip-forward" 2>/dev/null
    fi
}

announce_firewall() {
    [[ $(firewall_policy) == DROP ]] && return
    say "  Firewall: Docker turns on ip_forward and, where that was off, sets the policy of iptables' FORWARD"
    say "  chain to DROP: this machine then routes between no other networks. It adds chains named DOCKER*"
    say "  and NAT rules. 'make engine-remove' undoes it; TRINITY_INSTALL_ENGINE=0 forbids it."
}

can_use_iptables() {
    # Creating a rule needs rights and modules that listing does not.
    local table="iptables -w 5 -t nat" status=0
    $table -N TRINITY-PROBE && $table -A TRINITY-PROBE -m addrtype --dst-type LOCAL -j RETURN || status=1
    $table -F TRINITY-PROBE
    $table -X TRINITY-PROBE
    return "$status"
} >/dev/null 2>&1

install_engine() {
    local packages=(docker.io iptables) simulated removed added
    has_room /var/lib && refresh_packages || return
    # Newer releases package the `docker` command by itself.
    apt-cache show docker-cli >/dev/null 2>&1 && packages+=(docker-cli)
    simulated=$(apt-get -s install --no-install-recommends "${packages[@]}" 2>&1) || {
        advise "No container engine is here and apt-get cannot install docker.io: $(tail -n 1 <<<"$simulated")"
        return 1
    }
    removed=$(awk '$1 == "Remv" { printf "%s ", $2 }' <<<"$simulated")
    if [[ -n $removed ]]; then
        advise "No container engine is here; docker.io is not installed because that would remove: $removed"
        return 1
    fi
    added=$(awk '$1 == "Inst" { print $2 }' <<<"$simulated")
    say "  No container engine is here. Installing these packages: ${added//$'\n'/ }"
    announce_firewall
    remember_machine
    # Before the fact, so that an interrupted installation can be undone as well.
    printf '%s\n' "$added" >>"$record/packages"
    watched "installing docker.io" apt_get install -y --no-install-recommends "${packages[@]}"
}

wait_for_engine() {
    local until=$((SECONDS + START_SECONDS))
    until [[ $(reach) == here ]]; do
        "$@" && ((SECONDS < until)) || return 1
        sleep 0.1
    done
}

# After kill -9 both pid files stay, and dockerd refuses to start as soon as the numbers are used again.
clear_stale_pids() {
    is_running "$pid_file" dockerd || rm -f "$pid_file"
    is_running "$engine_exec/containerd/containerd.pid" containerd || rm -f "$engine_exec/containerd/containerd.pid"
}

# A session of its own: Ctrl-C at the terminal of `make up` does not reach it.
launch() {
    local pid
    clear_stale_pids
    (cd / && exec setsid dockerd --data-root "$engine_data" --exec-root "$engine_exec" -p "$pid_file" \
        -H "unix://$socket" --live-restore "$@" </dev/null >>"$engine_log" 2>&1) &
    pid=$!
    disown "$pid"
    wait_for_engine kill -0 "$pid" 2>/dev/null
}

start_dockerd() {
    # One that is starting is waited for until it answers, one that is dying until it is gone.
    wait_for_engine is_running "$pid_file" dockerd && return
    can_use_iptables && launch && return
    can_use_iptables && ! tail -n 1 "$engine_log" | grep -qE 'iptables|network controller|bridge' && return 1
    launch "${WITHOUT_NETWORK[@]}" || return
    advise "iptables cannot be used here: the engine runs with the networks 'none' and 'host' only."
}

start_engine() {
    local started
    started=$(milliseconds)
    remember_machine
    if under_systemd && [[ -z ${TRINITY_ENGINE_ROOT:-} ]]; then
        touch "$record/service"
        if ! systemctl start docker || ! wait_for_engine true; then
            advise "The docker service does not start; see: journalctl -u docker"
            return 1
        fi
    elif ! start_dockerd; then
        advise "dockerd does not start; see $engine_log: $(tail -n 1 "$engine_log")"
        return 1
    fi
    took "$started" "starting dockerd, log in $engine_log"
}

# Where no registry answers, the agent image is made from Debian's packages.
provide_image_tools() {
    command -v mmdebstrap >/dev/null && return
    is_root && on_debian || return 0
    ask_engine has "$AGENT_IMAGE" || registry_answers || install_packages mmdebstrap
}

registry_answers() {
    "$python" -I - 2>/dev/null <<'PYTHON'
from urllib import error, request
try:
    request.urlopen("https://registry-1.docker.io/v2/", timeout=5)
except error.HTTPError as answer:
    raise SystemExit(answer.code != 401)
PYTHON
}

ensure() {
    local started decision
    started=$(milliseconds)
    decision=$(plan)
    case $decision in
    use) took "$started" "engine answers at $address" ;;
    start) announce_firewall && start_engine ;;
    install) install_engine && start_engine ;;
    denied) advise "Your user may not use the engine at $address; run 'sudo adduser $(id -un) docker' and sign in again." ;;
    elsewhere) advise "No engine answers at DOCKER_HOST=$address; start it, or unset DOCKER_HOST." ;;
    forbidden) advise "No engine answers and TRINITY_INSTALL_ENGINE=0 forbids to install or start one; start Docker yourself." ;;
    powerless) advise "No container engine answers; run 'sudo make engine' once, or start Docker, or set DOCKER_HOST." ;;
    occupied*) advise "${decision#* } is on this machine, so no engine is installed; start Docker, or set DOCKER_HOST to an engine's socket." ;;
    foreign) advise "No container engine answers, and one is installed by itself on Debian only; install Docker, or set DOCKER_HOST." ;;
    esac
    [[ $decision == use || $(reach) == here ]] && provide_image_tools
}

# stop_daemon: by its number, and only a dockerd.
stop_daemon() {
    local pid until=$((SECONDS + START_SECONDS))
    is_running "$pid_file" dockerd || return 0
    pid=$(<"$pid_file")
    # Containers outlive a daemon with --live-restore; nobody could stop them afterwards.
    ask_engine kill || advise "The engine does not answer; containers may go on running."
    kill "$pid"
    while is_running "$pid_file" dockerd && ((SECONDS < until)); do sleep 0.1; done
    is_running "$pid_file" dockerd && kill -9 "$pid"
    rm -f "$pid_file"
    # dockerd leaves its mounts behind, and a directory with mounts in it cannot be deleted.
    awk -v data="$engine_data" -v exec="$engine_exec/" '$2 == data || index($2, data "/") == 1 || index($2, exec) == 1 { print $2 }' \
        /proc/mounts | sort -r | xargs -r umount -l
}

restore_firewall() {
    local version table bridge
    [[ -e $record/forward-policy ]] || return 0
    # The chains are shared by all engines of a machine.
    runs dockerd && return
    for version in iptables ip6tables; do
        for table in nat filter mangle; do
            # Docker's bridges are called br-<12 hexadecimal digits>, its chains DOCKER*; the agents'
            # bridges tri… or trp… and the installation, their chains TRINITY-….
            "$version-save" -t "$table" 2>/dev/null |
                grep -Ev 'DOCKER|docker0|br-[0-9a-f]{12}|TRINITY-|tr[ip][0-9a-f]{12}' |
                "$version-restore" -T "$table" 2>/dev/null
        done
    done
    for bridge in $(ip -o link show type bridge 2>/dev/null | grep -oE '\btr[ip][0-9a-f]{12}\b'); do
        ip link delete "$bridge"
    done
    iptables -w 5 -P FORWARD "$(<"$record/forward-policy")" 2>/dev/null
    cat "$record/ip-forward" 2>/dev/null >/proc/sys/net/ipv4/ip_forward
    ip link delete docker0 2>/dev/null
    rm -f "$record/forward-policy" "$record/ip-forward"
}

stop_engine() {
    if [[ -e $record/service ]]; then
        systemctl stop docker.socket docker.service
    else
        stop_daemon
    fi
    restore_firewall
}

remove_packages() {
    local ours extra
    [[ -e $record/packages ]] || return 0
    # shellcheck disable=SC2046
    ours=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(<"$record/packages") 2>/dev/null |
        awk '$1 == "installed" { print $2 }')
    [[ -n $ours ]] || return 0
    # shellcheck disable=SC2086
    extra=$(apt-get -s remove $ours | awk '$1 == "Remv" { print $2 }' | grep -vxF -f "$record/packages")
    if [[ -n $extra ]]; then
        advise "The packages stay, because these need them: ${extra//$'\n'/ }"
        return 0
    fi
    # shellcheck disable=SC2086
    watched "removing ${ours//$'\n'/ }" apt_get remove -y $ours
}

remove_engine() {
    is_root || fail "'make engine-remove' changes the system: run it as root."
    if ! [[ -d $record ]]; then
        say "Nothing to undo: no engine was installed or started here by Trinity."
        return
    fi
    stop_engine
    remove_packages || exit 1
    rm -rf "$record"
    say "Left in place: images, volumes and stopped containers in $engine_data."
    say "To delete them as well: rm -rf $engine_data /var/lib/containerd"
}

lay_out
# Without it nothing could be asked, and an engine that answers would be taken for away.
command -v "$python" >/dev/null || fail "Python is missing; run: make up"
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    case ${1:-} in
    ensure) ensure ;;
    stop) stop_engine ;;
    remove) remove_engine ;;
    *) fail "usage: engine.sh ensure | stop | remove" ;;
    esac
fi
