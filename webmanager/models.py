"""What the manager keeps: clusters, agents' credentials, the event log and who asked for what."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models

# Django looks for models here.
from webmanager.api.models import ApiToken as ApiToken
from webmanager.api.models import KeyedRequest as KeyedRequest
from webmanager.witness.models import Witness as Witness


class Cluster(models.Model):
    name = models.CharField(max_length=64, unique=True)
    comment = models.CharField(max_length=255, blank=True)
    # The newest clp.conf that an agent sent: shows the cluster's shape while no agent is connected.
    config = models.BinaryField(default=bytes)
    config_hash = models.CharField(max_length=128, blank=True)
    seen_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class Agent(models.Model):
    """A server's right to report. Only the hash of its secret is kept."""

    node = models.CharField(max_length=255)
    # Empty until the first hello when it was added without --cluster.
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="agents")
    secret_sha256 = models.CharField(max_length=64)
    added_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("node",)
        constraints = [
            models.UniqueConstraint(fields=("cluster", "node"), name="agent_once_per_cluster"),
        ]

    def __str__(self) -> str:
        return self.node


class Event(models.Model):
    """One note of an agent. `id` is the order of arrival, the cursor of the REST interface; (time, note_id) the order
    in which things happened. Warnings and errors want to be acknowledged (webmanager/overview/acknowledging.py)."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="events")
    note_id = models.CharField(max_length=255)
    time = models.FloatField()
    severity = models.CharField(max_length=8)
    kind = models.CharField(max_length=16)
    name = models.CharField(max_length=255, blank=True)
    server = models.CharField(max_length=255, blank=True, default="")
    code = models.CharField(max_length=64, blank=True, default="")  # "MODULE:NUMBER"
    text = models.TextField()
    note = models.JSONField()
    acked_at = models.FloatField(null=True, blank=True)  # seconds since 1970
    acked_by = models.CharField(max_length=150, blank=True, default="")
    ack_comment = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ("time", "note_id")
        constraints = [
            models.UniqueConstraint(fields=("cluster", "note_id"), name="event_once_per_cluster"),
        ]
        indexes = [
            models.Index(fields=("cluster", "time", "note_id"), name="event_by_time"),
            models.Index(fields=("cluster", "kind", "name"), name="event_by_object"),
            models.Index(
                fields=("cluster", "severity"),
                condition=models.Q(acked_at=None) & ~models.Q(severity="info"),
                name="event_open",
            ),
            models.Index(fields=("cluster", "acked_at"), condition=~models.Q(acked_at=None), name="event_acked"),
        ]

    def __str__(self) -> str:
        return f"{self.note_id} {self.text}"


class Operation(models.Model):
    """What somebody asked of a cluster, and how it ended."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        ACCEPTED = "accepted"  # It goes on; the deadline passed before its end was seen.
        REFUSED = "refused"
        FAILED = "failed"
        CANCELLED = "cancelled"  # while it waited; nothing was done

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="operations")
    op = models.CharField(max_length=32)
    target = models.CharField(max_length=255, blank=True)
    server = models.CharField(max_length=255, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    by = models.CharField(max_length=255)  # user@address, as the agents' logs show it
    why = models.CharField(max_length=200, blank=True, default="")  # in the words of who asked
    parts = models.JSONField(default=list)  # what the servers are asked (webmanager/parts.py), fixed before it is sent
    at = models.DateTimeField(auto_now_add=True)
    told_at = models.DateTimeField(null=True, blank=True)  # newest sign of life of the process that carries it out
    cancel = models.BooleanField(default=False)  # parts that were not sent yet are not sent any more
    ended_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    progress = models.JSONField(default=list)
    reason = models.CharField(max_length=64, blank=True)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ("-at", "id")
        indexes = [
            models.Index(fields=("cluster", "-at"), name="operation_by_time"),
            models.Index(fields=("told_at",), condition=models.Q(state="running"), name="operation_running"),
        ]

    def __str__(self) -> str:
        return f"{self.op} {self.target}"

    @property
    def ended(self) -> bool:
        return self.state != self.State.RUNNING

    def as_dict(self) -> dict[str, Any]:
        from webmanager.words import operation_title

        return {
            "id": str(self.id),
            "op": self.op,
            "target": self.target,
            "server": self.server,
            "title": str(operation_title(self.op, self.target, self.server)),
            "by": self.by,
            "why": self.why,
            "at": self.at.timestamp(),
            "state": self.state,
            "progress": list(self.progress),
            "reason": self.reason,
            "text": self.text,
        }
