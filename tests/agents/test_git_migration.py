"""Repositories written down before there were git configurations are kept."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.factories import make_agent

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("agents", "0007_retention")]
AFTER = [("agents", "0008_repositories_to_git_configs")]


@pytest.fixture
def migrated():
    """Migrate to a state and give its models; the newest state is there again afterwards."""
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()

    def to(state):
        executor = MigrationExecutor(connection)
        return executor.migrate(state).apps

    yield to
    to(newest)


def test_each_becomes_a_configuration_with_a_branch_of_its_own_and_back(migrated):
    make_agent(name="a.b")
    make_agent(name="without")
    agents = migrated(BEFORE).get_model("agents", "Agent").objects
    agents.filter(name="a.b").update(github_repo="https://git.example.org/a")
    [config] = migrated(AFTER).get_model("agents", "GitConfig").objects.select_related("agent")
    assert (config.agent.name, config.repository) == ("a.b", "https://git.example.org/a")
    assert config.working_branch == f"trinity/a-b-{config.instance_id}"
    agents = migrated(BEFORE).get_model("agents", "Agent").objects
    assert agents.get(name="a.b").github_repo == "https://git.example.org/a"
