"""What is kept of drills, for good: each with check, prediction and report; schedules; when they may begin."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from agent.wire.drill import KINDS, LEAST_S, MOST_S, WAYS
from agent.wire.drill import Drill as Wanted
from webmanager.models import Cluster


class What(models.Model):
    """What shall fail, where and for how long at most (agent/wire/drill.py)."""

    kind = models.CharField(max_length=8, choices=[(one, one) for one in KINDS])
    server = models.CharField(max_length=255)
    heartbeats = models.JSONField(default=list, blank=True)
    way = models.CharField(max_length=4, choices=[(one, one) for one in WAYS], default="both")
    monitor = models.CharField(max_length=255, blank=True)
    bound_s = models.FloatField(validators=[MinValueValidator(LEAST_S), MaxValueValidator(MOST_S)])

    class Meta:
        abstract = True

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            kind=self.kind, bound_s=self.bound_s, heartbeats=tuple(self.heartbeats), way=self.way, monitor=self.monitor
        )  # type: ignore[arg-type]  # fmt: skip


class Schedule(What):
    """When a drill is started by itself: once, or at the same time each week."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="drill_schedules")
    weekly = models.BooleanField(default=False)
    next_at = models.DateTimeField(null=True)  # null: it was once, and that is over
    by = models.CharField(max_length=255)  # user@address
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("next_at", "id")
        indexes = [models.Index(fields=("next_at",), name="drill_schedule_due")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.server} at {self.next_at}"


class Drill(What):
    class State(models.TextChoices):
        ASKED = "asked"  # the servers have not answered yet
        RUNNING = "running"
        PASSED = "passed"
        FAILED = "failed"
        ABORTED = "aborted"  # ended before its time, or never began
        REFUSED = "refused"  # not safe then
        SKIPPED = "skipped"  # the same of a schedule

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # also of the request to the servers
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="drills")
    schedule = models.ForeignKey(Schedule, null=True, on_delete=models.SET_NULL, related_name="drills")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    by = models.CharField(max_length=255)
    at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=255, blank=True)  # who ended it before its time
    state = models.CharField(max_length=8, choices=State.choices, default=State.ASKED)
    reason = models.TextField(blank=True)  # of a refusal, as the servers said it
    findings = models.JSONField(default=list)  # of the check, as [code, values]
    predicted = models.JSONField(default=dict)  # group -> {"outcome", "to", "outage_s"}, by the simulator
    before = models.JSONField(default=dict)  # group -> server, when it was started
    first_event = models.BigIntegerField(default=0)  # newer ones belong to it
    followed_at = models.DateTimeField(null=True)  # when a process looked after it last
    report = models.JSONField(default=dict)  # measure.py has the form

    class Meta:
        ordering = ("-at", "id")
        indexes = [
            models.Index(fields=("cluster", "-at"), name="drill_by_time"),
            models.Index(fields=("state",), name="drill_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.server}: {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def unchecked(self) -> bool:
        """A scheduled one whose time has come, and nobody has said yet whether it is safe."""
        return self.schedule_id is not None and self.state == self.State.ASKED and not self.findings


OPEN = (Drill.State.ASKED, Drill.State.RUNNING)


class Window(models.Model):
    """When drills of a cluster may begin, in the manager's time zone; without a row at any time."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="drill_window")
    days = models.JSONField(default=list)  # 0 Monday to 6 Sunday
    begins = models.TimeField()
    ends = models.TimeField()  # before `begins`: on the next day
    by = models.CharField(max_length=255, blank=True)

    def __str__(self) -> str:
        return f"{self.days} {self.begins} to {self.ends}"
