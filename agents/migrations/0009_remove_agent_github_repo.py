from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agents", "0008_repositories_to_git_configs")]

    operations = [migrations.RemoveField(model_name="agent", name="github_repo")]
