# shellcheck shell=bash
# A Python that is new enough, and the virtual environment with exactly what a lock file names.
# Needs terminal.sh and packages.sh; the working directory is the project's.

VENV=.venv

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

can_make_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Print the first candidate that passes the test.
first_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3}; do
        "$1" "$candidate" && command -v "$candidate" && return
    done
    return 1
}

is_usable() { is_new_enough "$1" && can_make_environments "$1"; }

# The environment's own mark is written last: an interrupted creation is begun again.
has_environment() { [[ -e $VENV/.complete ]] && is_new_enough "$VENV/bin/python"; }

# Leave in $python an interpreter that will do, or end with what to do about it.
find_python() {
    local started
    started=$(milliseconds)
    if has_environment; then
        python=$VENV/bin/python
    else
        search_python
    fi
    took "$started" "Python $(version_of "$python")"
}

search_python() {
    python=$(first_python is_usable) && return
    if ! first_python is_new_enough >/dev/null && first_python version_of >/dev/null; then
        fail "Python is too old: 3.11 or newer is needed and ${PYTHON:-python3} is $(version_of "${PYTHON:-python3}"). Install one and run: make up PYTHON=/path/to/python3.11"
    fi
    # Debian splits venv from python3, so a Python that is new enough may lack it.
    if is_root && on_debian; then
        install_packages python3 python3-venv || fail "Python could not be installed; the lines above say why."
        python=$(first_python is_usable) && return
    fi
    fail "Python 3.11 or newer with venv is needed. On Debian, run: sudo apt-get install python3 python3-venv"
}

make_environment() {
    has_environment && return
    has_room . || exit 1
    watched "making the virtual environment" "$python" -m venv --clear "$VENV" || exit 1
    touch "$VENV/.complete"
}

# install_locked LOCK: make the environment agree with a lock; at once when it does already.
install_locked() {
    local installed=$VENV/${1##*/}.installed started
    started=$(milliseconds)
    if cmp -s "$1" "$installed"; then
        took "$started" "$1 is installed"
        return
    fi
    has_room . || exit 1
    watched "installing $1" "$VENV/bin/python" -m pip install --require-hashes --no-deps \
        --no-input --disable-pip-version-check -r "$1" || exit 1
    cp "$1" "$installed"
}
