"""What each process of the manager has to notice: that somebody acknowledged events of a cluster."""

from __future__ import annotations

from django.db import models

from webmanager.models import Cluster


class Attention(models.Model):
    """Counts on with each acknowledgement, so that one small query tells whether there was one."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="attention")
    serial = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.cluster} {self.serial}"
