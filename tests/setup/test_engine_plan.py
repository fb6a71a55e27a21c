"""What `make up` decides to do about an engine."""

import pytest

from tests.setup.shell import engine

# A machine where everything would allow an installation; each case changes one thing.
FRESH = (
    "reach() { echo away; }; is_root() { true; }; on_debian() { true; };"
    "other_engine() { return 1; }; command() { [[ $2 != dockerd ]]; };"
)


def plan(changes="", **variables):
    return engine(f"{FRESH} {changes} plan", **variables).stdout.strip()


def test_a_fresh_debian_gets_an_engine():
    assert plan() == "install"


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ("reach() { echo here; };", "use"),
        ("reach() { echo denied; };", "denied"),
        ("is_root() { false; };", "powerless"),
        ("on_debian() { false; };", "foreign"),
        ("other_engine() { echo podman; };", "occupied podman"),
        ("command() { true; };", "start"),
    ],
)
def test_one_hindrance_is_enough(change, decision):
    assert plan(change) == decision


def test_installing_can_be_forbidden():
    assert plan(TRINITY_INSTALL_ENGINE="0") == "forbidden"


def test_an_engine_that_was_named_is_never_replaced_by_another():
    assert plan(DOCKER_HOST="tcp://127.0.0.1:1") == "elsewhere"


def test_an_engine_that_answers_is_used_even_where_installing_is_forbidden():
    assert plan("reach() { echo here; };", TRINITY_INSTALL_ENGINE="0") == "use"


@pytest.mark.parametrize("name", ["podman", "containerd", "kubelet", "k3s"])
def test_container_software_is_found_by_its_command(name, tmp_path):
    (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / name).chmod(0o755)
    found = engine(f"runs() {{ false; }}; PATH={tmp_path} other_engine")
    assert found.stdout.strip() == name


@pytest.mark.parametrize(
    ("decision", "advice"),
    [
        ("denied", "adduser"),
        ("elsewhere", "DOCKER_HOST"),
        ("forbidden", "TRINITY_INSTALL_ENGINE=0"),
        ("powerless", "sudo make engine"),
        ("occupied kubelet", "kubelet is on this machine"),
        ("foreign", "DOCKER_HOST"),
    ],
)
def test_without_an_engine_one_line_says_what_to_do(decision, advice):
    ensured = engine(f"plan() {{ echo {decision}; }}; reach() {{ echo away; }}; ensure")
    assert ensured.returncode == 1
    [line] = ensured.stdout.splitlines()
    assert advice in line
