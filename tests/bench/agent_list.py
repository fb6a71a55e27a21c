"""The list of agents, against a list that asks the engine about each of them."""

import json
import sqlite3
from contextlib import closing

from tests import engines
from tests.bench.fleet import Caller, grow, installation, sampled, say
from tests.bench.tables import Table, times_faster

NOTES = (
    "From before the request is written to after the last byte of GET /api/agents is read:",
    "one keep-alive connection with a bearer token to `manage.py up`, which supervises the agents.",
    "Baseline: in the measuring process, without HTTP and without asking who calls, docker-py's",
    "containers.list(all=True) of the same agents, which inspects each, then one query each for",
    "owner, share, git configuration (no such table here: the row of the log instead) and limits",
    "on the same SQLite file through one open connection, then the JSON.",
)


def run(*, quick):
    table = Table("list: GET /api/agents", *NOTES)
    _real(table, quick=quick)
    _recorded(table, quick=quick)
    table.print()


def _real(table, *, quick):
    with installation() as product:
        for count in (5, 10, 20) if quick else (20, 100, 200):
            grow(product, count)
            say(f"list of {count}")
            caller, inspecting = Caller(product), Inspecting(product)
            listed = json.loads(caller.call("GET", "/api/agents"))
            assert [each["status"] for each in listed] == ["running"] * count
            ours, with_stats, baseline = [], [], []
            # By turns: what else the machine does meets both.
            for _ in range(3):
                ours += _sampled(caller, 10 if quick else 100)
                with_stats += _sampled(caller, 10 if quick else 100, query="?stats=1")
                baseline += sampled(inspecting, 2 if quick else 10, warm_up=1)
            table.add(f"{count} running agents", ours, ratio=times_faster(ours, baseline))
            ratio = times_faster(with_stats, baseline)
            table.add(f"{count}, with ?stats=1", with_stats, ratio=ratio)
            table.add(f"{count}: baseline, inspecting each", baseline, ratio="1")


def _sampled(caller, count, *, query=""):
    return sampled(lambda: caller.call("GET", f"/api/agents{query}"), count)


def _recorded(table, *, quick):
    """A thousand rows without containers: what the list costs when the engine is no limit."""
    calls = 20 if quick else 300
    with installation() as product:
        code = "from tests.bench.recorded import record; print(record(1000))"
        viewer = product.manage("shell", "-v0", "-c", code).strip()
        say("list of 1,000 recorded")
        for who, token in (("administrator", None), ("viewer by shares", viewer)):
            caller = Caller(product, token=token)
            assert len(json.loads(caller.call("GET", "/api/agents"))) == 1000
            table.add(f"1,000 recorded agents, {who}", _sampled(caller, calls))


class Inspecting:
    """The list as systems build it that keep nothing of what the engine does."""

    OWNER = (
        "SELECT u.* FROM agents_agent a JOIN trinity_user u ON u.id = a.owner_id "
        "WHERE a.name = ? AND NOT a.deleting"
    )
    SHARE = (
        "SELECT s.* FROM agents_share s JOIN agents_agent a ON a.id = s.agent_id "
        "WHERE a.name = ? AND s.email = ?"
    )
    GIT = "SELECT g.* FROM agents_log g JOIN agents_agent a ON a.log_id = g.id WHERE a.name = ?"
    LIMITS = (
        "SELECT memory_limit, cpu_limit, autonomy_enabled FROM agents_agent "
        "WHERE name = ? AND NOT deleting"
    )

    def __init__(self, product):
        self._engine = engines.client()
        self._filters = {"label": f"trinity.instance={product.instance}"}
        self._database = product.data_dir / "trinity.sqlite3"

    def __call__(self):
        with closing(sqlite3.connect(self._database)) as database:
            containers = self._engine.containers.list(all=True, filters=self._filters)
            return json.dumps([self._agent(database, each) for each in containers])

    def _agent(self, database, container):
        labels = container.labels
        name = labels["trinity.agent-name"]

        def one(query, *arguments):
            return database.execute(query, (name, *arguments)).fetchone()

        owner, share = one(self.OWNER), one(self.SHARE, "someone@example.org")
        git, limits = one(self.GIT), one(self.LIMITS)
        return {
            "name": name,
            "type": labels["trinity.agent-type"],
            "status": container.status,
            "created": labels["trinity.created"],
            "resources": {"cpu": labels["trinity.cpu"], "memory": labels["trinity.memory"]},
            "container_id": container.id,
            "template": labels["trinity.template"],
            "image": container.attrs["Config"]["Image"],
            "owner": owner[0],
            "is_shared": share is not None,
            "github_repo": git[0],
            "memory_limit": limits[0],
            "cpu_limit": limits[1],
            "autonomy_enabled": bool(limits[2]),
        }
