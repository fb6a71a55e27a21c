import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("operations", "0002_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Artifact",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("path", models.CharField(editable=False, max_length=2000)),
                ("size", models.PositiveBigIntegerField(editable=False)),
                ("content_type", models.CharField(editable=False, max_length=100)),
                ("sha256", models.CharField(editable=False, max_length=64)),
                ("stored_as", models.CharField(editable=False, max_length=100)),
            ],
            options={
                "ordering": ["operation", "path"],
            },
        ),
        migrations.CreateModel(
            name="LeftFolder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("operation_id", models.UUIDField(editable=False, unique=True)),
                (
                    "left_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        migrations.AddField(
            model_name="operation",
            name="artifact_count",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="operation",
            name="notes",
            field=models.JSONField(default=list, editable=False),
        ),
        migrations.AlterField(
            model_name="operation",
            name="summary",
            field=models.CharField(blank=True, editable=False, max_length=4000),
        ),
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(fields=["finished_at"], name="operation_finished"),
        ),
        migrations.AddField(
            model_name="artifact",
            name="operation",
            field=models.ForeignKey(
                editable=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="artifacts",
                to="operations.operation",
            ),
        ),
        migrations.AddConstraint(
            model_name="artifact",
            constraint=models.UniqueConstraint(
                fields=("operation", "path"), name="artifact_path_once"
            ),
        ),
    ]
