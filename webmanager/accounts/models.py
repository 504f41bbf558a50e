"""What is kept about people and agents beside Django's own users: roles per cluster, second factor, audit, tokens."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import models
from django.utils import timezone

from webmanager.models import Cluster

ROLES = ("administrator", "operator", "viewer")


class Account(models.Model):
    """What openclp knows of a user; made when there is something to know."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="account")
    # The password was made by somebody else: the first thing this user does is to choose an own one.
    must_change = models.BooleanField(default=False)
    totp = models.CharField(max_length=255, blank=True)  # sealed (seal.py); "": no second factor
    totp_pending = models.CharField(max_length=255, blank=True)  # the same, until its first code was right
    totp_step = models.BigIntegerField(default=0)  # newest step whose code was taken: no code works twice
    recovery = models.JSONField(default=list)  # hashes of the codes that are left

    def __str__(self) -> str:
        return str(self.user)


class ClusterRole(models.Model):
    """A user's role on one cluster; on all clusters the user's groups say it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cluster_roles")
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=[(role, role) for role in ROLES])

    class Meta:
        constraints = [models.UniqueConstraint(fields=("user", "cluster"), name="one_role_on_a_cluster")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.cluster}"


class SignIn(models.Model):
    """Who is behind a session, and from where; it goes with the session."""

    session = models.OneToOneField(Session, on_delete=models.CASCADE, primary_key=True, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins")
    address = models.CharField(max_length=64)
    agent = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-seen_at",)

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"


class JoinToken(models.Model):
    """Lets one server become an agent, once."""

    key = models.CharField(max_length=32, unique=True)
    secret = models.CharField(max_length=255)  # sealed; "" once nobody can need it any more
    node = models.CharField(max_length=255)
    cluster = models.ForeignKey(Cluster, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    by = models.CharField(max_length=255)
    at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    used_from = models.CharField(max_length=64, blank=True)
    # Who asked first: a repetition of that very question gets the same answer, so that a lost answer loses no token.
    asked = models.CharField(max_length=64, blank=True)
    answered = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("-at", "-id")

    def __str__(self) -> str:
        return f"{self.node} until {self.ends_at}"

    @property
    def usable(self) -> bool:
        return self.used_at is None and self.ends_at > timezone.now()


class AuditEntry(models.Model):
    """Who did what, from where, with which result. Rows are only ever added (audit.py, migration 0002)."""

    number = models.BigIntegerField(primary_key=True)
    at = models.CharField(max_length=32)  # as it was hashed: ISO 8601, UTC
    who = models.CharField(max_length=150)  # a name, not a key: users go, what they did stays
    address = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=40)
    target = models.CharField(max_length=255, blank=True)
    cluster = models.CharField(max_length=64, blank=True)
    result = models.CharField(max_length=16)
    detail = models.JSONField(default=dict)
    before = models.CharField(max_length=64)  # hash of the row before
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("-number",)
        indexes = [
            models.Index(fields=("who", "number"), name="audit_by_who"),
            models.Index(fields=("action", "number"), name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.who} {self.action} {self.target}"


class AuditHead(models.Model):
    """The newest row, so that a cut-off end is seen; locked while a row is added."""

    number = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    seal = models.CharField(max_length=64, blank=True)  # keyed: who has the database alone cannot make it anew

    def __str__(self) -> str:
        return f"{self.number} {self.hash[:12]}"
