"""What is kept of the states of clusters over time (tape.py has the form)."""

from __future__ import annotations

from django.db import models

from webmanager.models import Cluster


class Tape(models.Model):
    """One stretch of time of one cluster, written by one process. Times are seconds since 1970 by the manager's clock.

    It can be read alone, so that two writers at once, or one that dies, do no harm to what others wrote."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="tapes")
    writer = models.CharField(max_length=32)  # the hub's id
    began = models.FloatField()
    ended = models.FloatField()  # up to when its newest state is known to have lasted
    frames = models.IntegerField(default=0)
    size_bytes = models.IntegerField(default=0)
    data = models.BinaryField(default=bytes)  # all of it, once it is closed; before that it stands in pieces
    closed = models.BooleanField(default=False)

    class Meta:
        ordering = ("began", "id")
        indexes = [models.Index(fields=("cluster", "began"), name="tape_by_time")]

    def __str__(self) -> str:
        return f"{self.began} to {self.ended}"


class Piece(models.Model):
    """What was added to an open tape at once."""

    tape = models.ForeignKey(Tape, on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        ordering = ("number",)
        constraints = [models.UniqueConstraint(fields=("tape", "number"), name="piece_once")]

    def __str__(self) -> str:
        return str(self.number)
