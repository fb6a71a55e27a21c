"""Logs as they are stored."""

from django.db import models


class Log(models.Model):
    """Lines with sequence numbers from 1 on; Trinity's own, so it outlives any container."""

    last_seq = models.PositiveBigIntegerField(default=0)
    byte_count = models.PositiveBigIntegerField(default=0)
    truncated = models.BooleanField(default=False)
    #: Where its source goes on: committed together with the lines that came before it.
    cursor = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"log {self.pk}"


class LogChunk(models.Model):
    """Successive lines of a log, written at once. ``text`` has one newline between two lines."""

    log = models.ForeignKey(Log, models.CASCADE, related_name="chunks")
    first_seq = models.PositiveBigIntegerField()
    last_seq = models.PositiveBigIntegerField()
    #: Lengths of runs that alternate, standard output first: "3,1" is three lines and one of
    #: standard error. Empty when all is standard output.
    streams = models.TextField(blank=True)
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint("log", "last_seq", name="log_chunk_position")]

    def __str__(self) -> str:
        return f"{self.log} {self.first_seq}-{self.last_seq}"
