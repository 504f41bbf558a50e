"""What is kept: recoveries, when the manager was listening, and what is aimed at."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from webmanager.models import Cluster


class Objective(models.Model):
    """What an operator demands of a group: back within `recovery_s`, available for `percent` of the time."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="objectives")
    group = models.CharField(max_length=255)
    recovery_s = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.1), MaxValueValidator(86400)])
    percent = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(100)])
    by = models.CharField(max_length=255, blank=True)  # user@address
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("cluster", "group"), name="objective_once_per_group")]

    def __str__(self) -> str:
        return f"{self.group}: {self.recovery_s} s, {self.percent} %"


class Recovery(models.Model):
    """A group that went down, or from one server to another: from its trigger to its end. Times are seconds since 1970
    by the manager's clock. `path` and `data` hold all that its page shows, so that it outlives the event log."""

    class Kind(models.TextChoices):
        FAILOVER = "failover"
        RESTART = "restart"
        MOVE = "move"
        FAILBACK = "failback"
        START = "start"
        STOP = "stop"

    class Result(models.TextChoices):
        RUNNING = "running"
        ONLINE = "online"
        PARTLY = "partly"  # online, but a final action stopped one of its resources for good
        STOPPED = "stopped"  # down, as somebody or the configuration wished
        FAILED = "failed"  # down against everybody's wish

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="recoveries")
    key = models.CharField(max_length=255)  # id of the note that decided it: the same whenever it is found again
    group = models.CharField(max_length=255)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    trigger = models.CharField(max_length=16)
    subject = models.CharField(max_length=255, blank=True, default="")  # server, monitor or user that the trigger names
    rule = models.CharField(max_length=64, blank=True, default="")
    planned = models.BooleanField(default=False)
    drill = models.CharField(max_length=255, blank=True)  # which drill meant this to happen
    result = models.CharField(max_length=8, choices=Result.choices)
    source = models.CharField(max_length=255, blank=True)
    target = models.CharField(max_length=255, blank=True)
    begun = models.FloatField()
    ended = models.FloatField(null=True)
    outage_from = models.FloatField(null=True)  # null: it interrupted nothing
    outage_to = models.FloatField(null=True)  # null with outage_from: the group is still down
    path = models.JSONField(default=list)  # where the time went, without gap
    data = models.JSONField(default=dict)  # steps and notes; large, so that lists go without

    class Meta:
        ordering = ("-begun", "-id")
        constraints = [models.UniqueConstraint(fields=("cluster", "key", "group"), name="recovery_once")]
        indexes = [
            models.Index(fields=("cluster", "-begun"), name="recovery_by_time"),
            models.Index(fields=("cluster", "group", "-begun"), name="recovery_by_group"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.group}: {self.result}"

    @property
    def running(self) -> bool:
        return self.result == self.Result.RUNNING

    @property
    def outage_s(self) -> float | None:
        """None while it is not over, and where nothing was interrupted."""
        if self.outage_from is None or self.outage_to is None:
            return None
        return max(0.0, self.outage_to - self.outage_from)


class Listening(models.Model):
    """A time in which the manager heard an agent of the cluster; what lies between two of them is not known."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    begun = models.FloatField()
    until = models.FloatField()

    class Meta:
        ordering = ("begun",)
        indexes = [models.Index(fields=("cluster", "until"), name="listening_by_end")]

    def __str__(self) -> str:
        return f"{self.begun} to {self.until}"


class FirstSight(models.Model):
    """How a group stood when the manager saw it first; all that follows is told by its recoveries."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    group = models.CharField(max_length=255)
    at = models.FloatField()
    server = models.CharField(max_length=255, blank=True)  # "": it ran nowhere

    class Meta:
        constraints = [models.UniqueConstraint(fields=("cluster", "group"), name="first_sight_once")]

    def __str__(self) -> str:
        return f"{self.group} on {self.server or 'no server'}"


class Sifted(models.Model):
    """How far the events of a cluster have been looked through."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="+")
    event = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.event)
