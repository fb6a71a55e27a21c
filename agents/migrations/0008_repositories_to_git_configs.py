"""What was written of an agent's repository becomes its git configuration."""

from django.db import migrations

from agents.models.uids import new_uid
from agents.workspace.repositories import branch_of


def to_configs(apps, schema_editor):
    GitConfig = apps.get_model("agents", "GitConfig")
    for agent in apps.get_model("agents", "Agent").objects.exclude(github_repo=""):
        instance_id = new_uid()
        GitConfig.objects.create(
            agent=agent,
            repository=agent.github_repo,
            working_branch=branch_of(agent.name, instance_id),
            instance_id=instance_id,
        )


def to_agents(apps, schema_editor):
    for config in apps.get_model("agents", "GitConfig").objects.select_related("agent"):
        config.agent.github_repo = config.repository
        config.agent.save(update_fields=["github_repo"])
        config.delete()


class Migration(migrations.Migration):
    dependencies = [("agents", "0007_retention")]

    operations = [migrations.RunPython(to_configs, to_agents)]
