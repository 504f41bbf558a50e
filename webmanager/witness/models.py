"""What the manager keeps for a cluster that it is a witness of."""

from __future__ import annotations

from django.db import models


class Witness(models.Model):
    cluster = models.CharField(max_length=255, unique=True)
    # In the clear, as it signs; it opens nothing but this row.
    secret = models.CharField(max_length=64)
    promise = models.JSONField(default=dict)
    # Which beats were heard, by the steady clock of one boot of one machine; it is worth nothing in another.
    boot = models.CharField(max_length=64, blank=True)
    memory = models.JSONField(default=dict)

    class Meta:
        app_label = "webmanager"
        ordering = ("cluster",)

    def __str__(self) -> str:
        return self.cluster
