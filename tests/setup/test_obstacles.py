"""Where `make up` cannot help it says in one line what to do, before it changes anything."""

import socket
import sys

import pytest

from tests.setup.shell import SETUP, make, make_project, run

LIBRARY = f". {SETUP}/terminal.sh; . {SETUP}/packages.sh; . {SETUP}/python.sh;"


def old_python(directory):
    script = directory / "python3"
    script.write_text(
        "#!/bin/sh\ncase $2 in *version_info\\ *) exit 1;; *print*) echo 3.9.2;; esac\n"
    )
    script.chmod(0o755)
    return str(script)


def test_a_python_that_is_too_old(tmp_path):
    found = run(f"{LIBRARY} VENV={tmp_path}; find_python", PYTHON=old_python(tmp_path))
    assert found.returncode == 1
    [line] = found.stderr.splitlines()
    assert "too old: 3.11 or newer is needed" in line
    assert "3.9.2" in line
    assert "make up PYTHON=" in line


def test_no_python_and_no_rights_to_install_one(tmp_path):
    script = f"{LIBRARY} VENV={tmp_path}; is_root() {{ false; }}; find_python"
    found = run(script, PYTHON="/nonexistent/python")
    [line] = found.stderr.splitlines()
    assert "sudo apt-get install python3 python3-venv" in line


def test_root_on_debian_gets_what_python_lacks(tmp_path):
    script = (
        f"{LIBRARY} VENV={tmp_path}; is_root() {{ true; }}; on_debian() {{ true; }};"
        "install_packages() { echo install $*; PYTHON=$REAL; }; find_python"
    )
    found = run(script, PYTHON="/nonexistent/python", REAL=sys.executable)
    assert found.stdout.startswith("install python3 python3-venv\n  Python 3.")


def test_a_full_disk():
    script = f"{LIBRARY} df() {{ printf 'head\\n/dev/x 9 8 51200 1%% /\\n'; }}; has_room /var"
    found = run(script)
    assert found.returncode == 1
    [line] = found.stdout.splitlines()
    assert "50 MB are free at /var and 1 GB is needed" in line


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_a_port_that_is_taken(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        made = make(project, "up", f"TRINITY_PORT={port}", TRINITY_INSTALL_ENGINE="0")
    assert made.returncode != 0
    assert f"Port {port} is taken on 127.0.0.1" in made.stderr
    assert f"make up TRINITY_PORT={port + 1}" in made.stderr
    assert "manage.py" not in made.stdout


def test_without_an_engine_the_product_starts_all_the_same(project):
    nowhere = f"unix://{project}/none.sock"
    made = make(project, "up", "TRINITY_PORT=0", DOCKER_HOST=nowhere)
    assert f"! No engine answers at DOCKER_HOST={nowhere}" in made.stdout
    assert made.stdout.endswith("manage.py up\n")
