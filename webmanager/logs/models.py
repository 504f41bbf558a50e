"""Collections of logs: who asked for which, how far each server is, and what came of it."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from webmanager.models import Cluster


class Collection(models.Model):
    """The file itself lies in the manager's directory (files.py); it may be gone while the row tells of it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="collections")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    by = models.CharField(max_length=255)  # USER@ADDRESS
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=8)
    limit_mib = models.IntegerField()
    servers = models.JSONField(default=dict)  # name -> {"percent", "error", "clock": [ahead_s, within_s] or null}
    standing = models.TextField(blank=True)  # how the cluster was when it was asked for
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    cancel = models.BooleanField(default=False)
    told_at = models.DateTimeField(null=True, blank=True)  # the worker's newest sign of life
    ended_at = models.DateTimeField(null=True, blank=True)
    size = models.BigIntegerField(default=0)
    notes = models.IntegerField(default=0)  # lines of the merged timeline
    cause = models.TextField(blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("-at", "id")
        indexes = [
            models.Index(fields=("cluster", "-at"), name="collection_by_time"),
            models.Index(fields=("state",), name="collection_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.cluster}"

    @property
    def ended(self) -> bool:
        return self.state not in (self.State.WAITING, self.State.RUNNING)

    @property
    def percent(self) -> int:
        done = [100 if one["error"] else one["percent"] for one in self.servers.values()]
        return sum(done) // max(1, len(done))

    @property
    def missing(self) -> dict[str, str]:
        """server -> why nothing of it is there."""
        return {name: one["error"] for name, one in self.servers.items() if one["error"]}

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "type": self.kind,
            "limit_mib": self.limit_mib,
            "by": self.by,
            "at": self.at.timestamp(),
            "ended": self.ended_at.timestamp() if self.ended_at else None,
            "state": self.state,
            "percent": 100 if self.state == self.State.DONE else self.percent,
            "servers": [
                {"name": name, "percent": one["percent"], "error": one["error"]} for name, one in self.servers.items()
            ],
            "size": self.size,
            "notes": self.notes,
            "error": self.error,
        }
