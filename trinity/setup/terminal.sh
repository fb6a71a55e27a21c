# shellcheck shell=bash
# Lines for the person at the terminal: what is done, how long it took, what to do about a failure.
# Sourced by the other scripts of this directory.

# Users without rights have no sbin on their PATH, but iptables and dockerd are there.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# A program that ends in good order on Ctrl-C (apt, pip) would let the script go on.
trap 'kill "${ticking:-}" 2>/dev/null; rm -f "${watched_log:-}"; exit 130' INT

say() { printf '%s\n' "$*"; }

advise() { printf '! %s\n' "$*"; }

fail() {
    printf '! %s\n' "$*" >&2
    exit 1
}

milliseconds() {
    # EPOCHREALTIME came with bash 5; a decimal comma is possible.
    local now=${EPOCHREALTIME:-$SECONDS.000000}
    now=${now/[.,]/}
    printf '%s' "$((now / 1000))"
}

# took STARTED WHAT: close a step with its duration.
took() {
    local elapsed=$(($(milliseconds) - $1))
    printf '  %-58s %4d.%d s\n' "$2" "$((elapsed / 1000))" "$((elapsed % 1000 / 100))"
}

# ticker WHAT: say every few seconds that a command is still at work, until the script ends.
ticker() {
    local elapsed=0 script=$$
    # Without the script's output: a reader of it would wait for the last sleep.
    while sleep 1 >/dev/null 2>&1 && kill -0 "$script" 2>/dev/null; do
        elapsed=$((elapsed + 1))
        if ((elapsed == 2 || elapsed % 10 == 0)); then
            printf '  %s … %d s\n' "$1" "$elapsed"
        fi
    done
}

# watched WHAT COMMAND…: run a command with its output in a log, which is shown if it fails.
# The command stays in the foreground: a background job of a script ignores Ctrl-C.
watched() {
    local what=$1 started watched_log ticking status=0
    shift
    started=$(milliseconds)
    watched_log=$(mktemp "${TMPDIR:-/tmp}/trinity-setup.XXXXXX")
    ticker "$what" &
    ticking=$!
    "$@" >"$watched_log" 2>&1 </dev/null || status=$?
    kill "$ticking" 2>/dev/null || true
    wait "$ticking" 2>/dev/null || true
    if ((status == 0)); then
        took "$started" "$what"
    else
        tail -n 15 "$watched_log" | sed 's/^/    /' >&2
        advise "$what failed (exit code $status)." >&2
    fi
    rm -f "$watched_log"
    return "$status"
}
