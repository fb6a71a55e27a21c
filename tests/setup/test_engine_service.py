"""Under systemd the packaged service is the engine, and Trinity starts no dockerd of its own."""

from tests.setup.shell import engine

SYSTEMD = """
record=$PLACE; engine_log=$PLACE/log; under_systemd() { true; }; launch() { echo launched; }
systemctl() { echo "systemctl $*"; }; firewall_policy() { echo ACCEPT; }; reach() { echo here; }
restore_firewall() { true; }
"""


def test_the_service_is_started(tmp_path):
    output = engine(f"{SYSTEMD} start_engine", PLACE=str(tmp_path)).stdout
    assert "systemctl start docker\n" in output
    assert "launched" not in output


def test_the_service_that_trinity_started_is_stopped_as_a_service(tmp_path):
    (tmp_path / "service").touch()
    output = engine(f"{SYSTEMD} stop_engine", PLACE=str(tmp_path)).stdout
    assert output == "systemctl stop docker.socket docker.service\n"


def test_a_service_that_does_not_start_says_where_to_look(tmp_path):
    broken = f"{SYSTEMD} systemctl() {{ false; }}; start_engine"
    started = engine(broken, PLACE=str(tmp_path))
    assert started.returncode == 1
    assert "journalctl -u docker" in started.stdout
