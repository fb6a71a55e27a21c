"""When the engine goes, the agents' bridges and rules go with it, and nobody else's."""

import os
import shlex
import shutil

import pytest

from tests.setup.shell import SETUP, run

INSTANCE = "0123456789ab"
GUARD = (
    "from agents.docker_runtime import firewall, networks; "
    f"firewall.guard('{INSTANCE}', networks._bridges('{INSTANCE}'))"
)
# In a network namespace, which takes all of it away again.
SCRIPT = f"""
for bridge in tri{INSTANCE} trp{INSTANCE} office; do ip link add $bridge type bridge; done
"$PYTHON" -c "{GUARD}"
for version in iptables ip6tables; do $version -t mangle -A FORWARD -i office -j ACCEPT; done
. {SETUP}/engine.sh
runs() {{ false; }}; record=$PLACE
[[ $KEEP ]] || restore_firewall
iptables-save; ip6tables-save; ip -o link
"""


@pytest.fixture
def left(tmp_path):
    if os.geteuid() or any(shutil.which(each) is None for each in ("ip", "iptables", "unshare")):
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", "needs root, ip and iptables"
        pytest.skip("needs root, ip and iptables")
    (tmp_path / "forward-policy").write_text("ACCEPT")
    (tmp_path / "ip-forward").write_text("0")

    def left(**changes):
        command = f"unshare --net bash -c {shlex.quote(SCRIPT)}"
        return run(command, PLACE=str(tmp_path), **changes).stdout

    return left


def test_what_guards_agents_is_removed_and_other_rules_stay(left):
    before, after = left(KEEP="1"), left(KEEP="")
    assert before.count(INSTANCE) > 50
    assert INSTANCE not in after
    assert after.count("-A FORWARD -i office -j ACCEPT") == 2
    assert "office" in after.splitlines()[-1]
