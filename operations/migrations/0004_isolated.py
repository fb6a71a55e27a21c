import django.conf
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0003_artifacts"),
        migrations.swappable_dependency(django.conf.settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="admitted_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="operation",
            name="is_isolated",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddField(
            model_name="operation",
            name="memory",
            field=models.CharField(blank=True, editable=False, max_length=8),
        ),
        migrations.AddField(
            model_name="operation",
            name="cpu",
            field=models.CharField(blank=True, editable=False, max_length=8),
        ),
        migrations.AddField(
            model_name="operation",
            name="network",
            field=models.CharField(
                blank=True,
                choices=[
                    ("none", "None"),
                    ("internet", "Internet"),
                    ("private", "internet and private networks"),
                ],
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["requester", "-admitted_at"], name="operation_turns"),
        ),
    ]
