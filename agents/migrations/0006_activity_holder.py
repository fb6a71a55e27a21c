from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0005_agents_whole"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="activity",
            name="holder",
            field=models.CharField(blank=True, max_length=150),
        ),
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(fields=["related_execution_id"], name="activity_of_execution"),
        ),
        migrations.AddIndex(
            model_name="activity",
            index=models.Index(fields=["activity_state", "agent"], name="activity_by_state"),
        ),
    ]
