"""Installing an engine: named before, refused where it would remove something, remembered."""

import pytest

from tests.setup.shell import engine

APT = """
has_room() { true; }; refresh_packages() { true; }; apt-cache() { false; }
firewall_policy() { echo ACCEPT; }
apt-get() { printf '%s\\n' "$SIMULATED"; }
apt_get() {
    printf 'apt_get %s\\n' "$*" >>"$TRINITY_ENGINE_ROOT/calls"
    cp -r "$record" "$record.then"
}
"""


@pytest.fixture
def install(tmp_path):
    def install(simulated):
        changes = {"TRINITY_ENGINE_ROOT": str(tmp_path), "SIMULATED": simulated}
        return engine(f"{APT} install_engine", **changes)

    return install


def test_packages_and_firewall_are_named_before_anything_is_installed(install, tmp_path):
    output = install("Inst containerd (1)\nInst docker.io (20)\nConf docker.io (20)").stdout
    named, installing = output.index("containerd docker.io"), output.index("  installing docker.io")
    assert named < output.index("FORWARD") < installing
    assert (tmp_path / "calls").read_text().startswith("apt_get install -y --no-install-recommends")


def test_nothing_is_installed_that_would_remove_a_package(install, tmp_path):
    installed = install("Remv docker-ce [24]\nInst docker.io (20)")
    assert installed.returncode == 1
    assert "would remove: docker-ce" in installed.stdout
    assert not (tmp_path / "calls").exists()


def test_what_is_to_be_undone_is_recorded_before_it_is_done(install, tmp_path):
    install("Inst containerd (1)\nInst docker.io (20)")
    then = tmp_path / "record.then"
    assert (then / "packages").read_text().split() == ["containerd", "docker.io"]
    assert (then / "forward-policy").read_text().strip() == "ACCEPT"


def test_a_second_installation_does_not_forget_how_the_machine_was(install, tmp_path):
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / "forward-policy").write_text("ACCEPT")
    (tmp_path / "record" / "packages").write_text("iptables\n")
    install("Inst docker.io (20)")
    assert (tmp_path / "record" / "forward-policy").read_text() == "ACCEPT"
    assert (tmp_path / "record" / "packages").read_text().split() == ["iptables", "docker.io"]
