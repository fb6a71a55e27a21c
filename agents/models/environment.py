"""What an agent's programs find in their environment."""

from django.db import models


class EnvironmentValue(models.Model):
    """One variable of an agent's environment; a secret one is kept sealed and never shown."""

    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="environment")
    name = models.CharField(max_length=200)
    is_secret = models.BooleanField(default=False)
    #: As it is, or sealed by ``trinity.encryption`` when it is secret.
    value = models.TextField()
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint("agent", "name", name="environment_name_once")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
