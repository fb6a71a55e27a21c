"""`make engine-remove` takes away what was added, and no more."""

import pytest

from tests.setup.shell import engine

STUBS = """
is_root() { true; }; stop_engine() { echo stopped; }
dpkg-query() { printf 'installed docker.io\\ninstalled runc\\nconfig-files tini\\n'; }
apt-get() { printf 'Remv docker.io [20]\\nRemv runc [1]\\n%s\\n' "${ALSO:-}"; }
apt_get() { echo "apt_get $*" >>"$TRINITY_ENGINE_ROOT/calls"; }
"""


@pytest.fixture
def remove(tmp_path):
    def remove(**changes):
        return engine(f"{STUBS} remove_engine", TRINITY_ENGINE_ROOT=str(tmp_path), **changes)

    return remove


@pytest.fixture
def record(tmp_path):
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "packages").write_text("docker.io\nrunc\ntini\n")
    return tmp_path / "record"


def test_the_packages_that_were_installed_are_removed(remove, record, tmp_path):
    output = remove().stdout
    assert (tmp_path / "calls").read_text() == "apt_get remove -y docker.io runc\n"
    assert "Left in place" in output
    assert not record.exists()


def test_packages_that_others_need_by_now_stay(remove, record, tmp_path):
    assert "these need them: compose" in remove(ALSO="Remv compose [2]").stdout
    assert not (tmp_path / "calls").exists()


def test_an_engine_that_was_there_before_is_left_alone(remove):
    output = remove().stdout
    assert "Nothing to undo" in output
    assert "stopped" not in output
