"""What lies on the engine without an agent that it belongs to."""

from django.db import models

from agents.models.hosts import Host


class Found(models.Model):
    """A container or volume of this installation that no row accounts for.

    That is how a restored database meets what was made after its backup. A person decides
    what becomes of it.
    """

    class Kind(models.TextChoices):
        CONTAINER = "container"
        WORKSPACE = "workspace", "workspace volume"
        SPOOL = "spool", "volume of operations' output"

    host = models.ForeignKey(Host, models.CASCADE, related_name="found")
    kind = models.CharField(max_length=9, choices=Kind)
    #: By which the engine knows it: a container's id, a volume's name.
    reference = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    #: The agent's that it was made for; empty where that cannot be told.
    uid = models.CharField(max_length=12, blank=True)
    runs = models.BooleanField(default=False)
    labels = models.JSONField(default=dict)
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["uid", "kind"]
        verbose_name = "thing found on the engine"
        verbose_name_plural = "found on the engine"
        constraints = [models.UniqueConstraint("host", "kind", "reference", name="found_once")]

    def __str__(self) -> str:
        return f"{self.get_kind_display().lower()} {self.name}"
