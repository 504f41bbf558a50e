"""What was measured, as charts show it: all series of a cluster in frames of one span, spread over shards."""

from __future__ import annotations

from django.db import models

from webmanager.models import Cluster


class Frame(models.Model):
    """What `samples.py` packs: the series of one shard, from `at` on for `span_s`."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    span_s = models.PositiveSmallIntegerField()
    at = models.BigIntegerField()  # by the manager's clock, a multiple of the span
    shard = models.PositiveSmallIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("cluster", "shard", "span_s", "at"), name="frame_once"),
        ]
        indexes = [models.Index(fields=("span_s", "at"), name="frame_by_age")]

    def __str__(self) -> str:
        return f"{self.cluster_id} {self.at}+{self.span_s} /{self.shard}"  # type: ignore[attr-defined]
