"""Figures of agents, now and in the past."""

from django.db import models


class Stats(models.Model):
    """The last sample of an agent's container; a figure that is not known is null, never 0."""

    agent = models.OneToOneField(
        "agents.Agent", models.CASCADE, primary_key=True, related_name="stats"
    )
    sampled_at = models.DateTimeField()
    cpu_percent = models.FloatField(null=True)
    memory_used_bytes = models.PositiveBigIntegerField(null=True)
    memory_limit_bytes = models.PositiveBigIntegerField(null=True)
    network_rx_bytes = models.PositiveBigIntegerField(null=True)
    network_tx_bytes = models.PositiveBigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "stats"

    def __str__(self) -> str:
        return f"stats of agent {self.agent_id}"


class Sample(models.Model):
    """Figures of an agent in the past: of a moment, or of an interval that begins at ``at``."""

    # Its index would only repeat the beginning of the constraint's.
    agent = models.ForeignKey(
        "agents.Agent", models.CASCADE, related_name="samples", db_index=False
    )
    at = models.DateTimeField()
    interval_seconds = models.PositiveSmallIntegerField()
    cpu_percent = models.FloatField(null=True)
    memory_used_bytes = models.PositiveBigIntegerField(null=True)
    memory_limit_bytes = models.PositiveBigIntegerField(null=True)
    network_rx_bytes = models.PositiveBigIntegerField(null=True)
    network_tx_bytes = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("agent", "interval_seconds", "at", name="sample_once")
        ]
        indexes = [models.Index(fields=["interval_seconds", "at"], name="sample_by_age")]

    def __str__(self) -> str:
        return f"sample of agent {self.agent_id} at {self.at}"
