from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0009_remove_agent_github_repo")]

    operations = [
        migrations.AddField(
            model_name="host",
            name="network_refusal",
            field=models.CharField(blank=True, editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name="host",
            name="network_unguarded_since",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
