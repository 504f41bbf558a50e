"""What the Builder keeps: drafts with every step that was made, versions, what was applied, and who looks at which."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext

from agent.clpconf.archive import Bundle
from builder import contents, words
from webmanager.models import Cluster


class Draft(models.Model):
    """A configuration that is being edited. `revision` rises with every change, undo and redo included."""

    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.SET_NULL, related_name="drafts")
    name = models.CharField(max_length=80)
    base_hash = models.CharField(max_length=64, blank=True)
    conf = models.BinaryField()  # contents.pack
    scripts = models.BinaryField(default=bytes)  # contents.pack_scripts
    revision = models.PositiveIntegerField(default=1)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-changed_at", "-id")

    def __str__(self) -> str:
        return self.name

    @property
    def bundle(self) -> Bundle:
        return Bundle(contents.unpack(self.conf), contents.unpack_scripts(self.scripts))


class DraftStep(models.Model):
    """One change. While it is in force it holds what was before; while it is undone, what was after."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="steps")
    revision = models.PositiveIntegerField()  # that it made
    by = models.CharField(max_length=150)
    at = models.DateTimeField()
    text = models.CharField(max_length=200)  # with %(name)s
    values = models.JSONField(default=dict)
    conf = models.BinaryField()
    scripts = models.BinaryField(null=True)  # None: they did not change
    undone = models.BooleanField(default=False)

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=("draft", "undone", "id"), name="builder_step_in_order")]

    def __str__(self) -> str:
        return str(self.text % self.values)

    @property
    def words(self) -> str:
        """In the reader's language."""
        what = words.listed(self.values["what"]) if "what" in self.values else ""
        return str(gettext(self.text) % {**self.values, "what": what})


class Presence(models.Model):
    """Somebody has a draft open."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="present")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("draft", "user"), name="builder_presence_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.draft}"


class Version(models.Model):
    """A configuration that is kept as it was."""

    class Origin(models.TextChoices):
        AGENT = "agent"  # it ran
        UPLOAD = "upload"
        DRAFT = "draft"
        APPLY = "apply"

    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.SET_NULL, related_name="versions")
    name = models.CharField(max_length=80)
    hash = models.CharField(max_length=64, db_index=True)
    conf = models.BinaryField()
    scripts = models.BinaryField(default=bytes)
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(auto_now_add=True)
    why = models.CharField(max_length=200, blank=True)
    origin = models.CharField(max_length=8, choices=Origin.choices)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.name} {self.hash[:12]}"

    @property
    def bundle(self) -> Bundle:
        return Bundle(contents.unpack(self.conf), contents.unpack_scripts(self.scripts))


class WhatIf(models.Model):
    """The simulator's word on a draft and on what runs; played by a worker, read by pages while it grows."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped"  # by a person, or at the limit; what was played counts
        FAILED = "failed"

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="whatifs")
    revision = models.PositiveIntegerField()
    by = models.CharField(max_length=150)
    at = models.DateTimeField(auto_now_add=True)
    before = models.BinaryField(default=bytes)  # contents.pack; empty when nothing runs
    after = models.BinaryField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    told_at = models.DateTimeField(default=timezone.now)  # the worker's newest word
    cancel = models.BooleanField(default=False)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"what-if of {self.draft} at {self.revision}"

    @property
    def ended(self) -> bool:
        return self.state not in (self.State.WAITING, self.State.RUNNING)


class Apply(models.Model):
    """A configuration that somebody brings to a running cluster.

    The manager delivers it; from `running` on the servers drive the change by themselves, and this row only tells what
    became of it (builder/applying.py)."""

    class State(models.TextChoices):
        DELIVERING = "delivering"  # sent to the servers, checked and stored there; none has changed
        RUNNING = "running"  # the servers change over, or it runs on trial
        DONE = "done"  # it is in force
        RETURNED = "returned"  # it was tried and taken back
        REFUSED = "refused"  # by the cluster; nothing was changed
        FAILED = "failed"  # before anything was changed

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)  # id of the request to the cluster
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="applies")
    draft = models.ForeignKey(Draft, null=True, on_delete=models.SET_NULL, related_name="applies")
    name = models.CharField(max_length=80)
    revision = models.PositiveIntegerField()
    conf = models.BinaryField()  # contents.pack
    scripts = models.BinaryField(default=bytes)  # contents.pack_scripts
    config = models.CharField(max_length=16)  # config_id, as servers name it
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    by = models.CharField(max_length=255)  # user@address, as the servers' logs show it
    at = models.DateTimeField(auto_now_add=True)
    why = models.CharField(max_length=200)
    anyway = models.CharField(max_length=200, blank=True)  # why it is applied though a server lacks something
    confirm_s = models.PositiveIntegerField(default=0)  # 0: it stays without a confirmation
    health = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DELIVERING)
    servers = models.JSONField(default=dict)  # server -> how far the delivery to it is
    cancel = models.BooleanField(default=False)
    # The cluster's events after this one are about it, in order of arrival: no two clocks are compared.
    first_event = models.BigIntegerField(default=0)
    text = models.TextField(blank=True)  # why it did not go, as the servers say it
    beat_at = models.DateTimeField()  # its job lives
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "applies"

    def __str__(self) -> str:
        return f"{self.name} to {self.cluster}"

    @property
    def bundle(self) -> Bundle:
        return Bundle(contents.unpack(self.conf), contents.unpack_scripts(self.scripts))

    @property
    def ended(self) -> bool:
        return self.state not in (self.State.DELIVERING, self.State.RUNNING)
