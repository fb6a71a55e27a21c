from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0012_disk_refusal"),
        ("operations", "0006_origin"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name="operation",
            index=models.Index(
                condition=models.Q(("requester", None)),
                fields=["signer", "-admitted_at"],
                name="operation_signer_turns",
            ),
        ),
    ]
