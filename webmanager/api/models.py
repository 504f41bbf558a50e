"""What the REST interface keeps: tokens, and which requests were made under which Idempotency-Key."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from knox.models import AbstractAuthToken


class ApiToken(AbstractAuthToken):
    """A program's right to speak for a person. Only a hash of it is kept; `key` names it where it is listed."""

    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    read_only = models.BooleanField(default=False)

    class Meta:
        ordering = ("-created", "key")

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class KeyedRequest(models.Model):
    """A request with an Idempotency-Key: whoever sends it again gets the outcome of these operations, not new ones.

    `asked` is fixed when the key is first seen, and the operations' ids follow from `id`: also a request that comes
    again while the first one is still carried out can ask for nothing else."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)  # of method, path and body
    cluster = models.ForeignKey("webmanager.Cluster", on_delete=models.CASCADE, related_name="+")
    asked = models.JSONField(default=list)  # [op, target, server] each
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=("user", "key"), name="keyed_request_once_per_user")]
        indexes = [models.Index(fields=("at",), name="keyed_request_by_time")]

    def __str__(self) -> str:
        return self.key

    def operation_id(self, number: int) -> uuid.UUID:
        return uuid.uuid5(self.id, str(number))

    def operation_ids(self) -> list[uuid.UUID]:
        return [self.operation_id(number) for number in range(len(self.asked))]

    @property
    def asks(self) -> list[tuple[str, str, str]]:
        found: list[Any] = self.asked
        return [(op, target, server) for op, target, server in found]
