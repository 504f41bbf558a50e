"""Drills at their time: once, or each week.

Rules of this file
- Every process of the manager looks for what is due; the one that moves `next_at` has it. Moving it and writing the
  drill's row is one transaction, and the row's id, which is that of the request to the servers, follows from schedule
  and time. So a time comes once, however many processes there are, and whoever dies with it leaves a row that says so.
- Not Celery's clock: there may be one of it only, it dies with its worker, and a message that is delivered again after
  a lost acknowledgement would need all of the above to do no harm. Nor is a worker of use here, since the connections
  to the agents are the web processes'.
- What was missed is skipped with its reason, never caught up: the hour was chosen for its quiet.
- Who scheduled it must still be administrator then. Whether it is safe is checked when the time has come.
"""

from __future__ import annotations

import datetime
import logging
import uuid

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from agent.wire.drill import Drill as Wanted
from webmanager.accounts import audit
from webmanager.drills.models import Drill, Schedule
from webmanager.drills.services import close, fields, newest_event
from webmanager.models import Cluster

log = logging.getLogger(__name__)

_LATE_S = 120.0  # what has been due for so long was missed
_WEEK = datetime.timedelta(days=7)
_NAMESPACE = uuid.UUID("3b0a2f57-6a0c-4c2e-8f0e-5b6d1f0a9c11")


def schedule(
    *, cluster: Cluster, drill: Wanted, server: str, at: datetime.datetime, weekly: bool, by: str
) -> Schedule:  # fmt: skip
    made = Schedule.objects.create(cluster=cluster, next_at=at, weekly=weekly, by=by, **fields(drill, server))
    who, _, address = by.rpartition("@")
    audit.add("drill.schedule", who=who or by, address=address if who else "", target=server, cluster=cluster.name,
              detail={"kind": drill.kind, "at": at.isoformat(), "weekly": weekly})  # fmt: skip
    return made


def unschedule(*, row: Schedule, by: str) -> None:
    who, _, address = by.rpartition("@")
    audit.add("drill.unschedule", who=who or by, address=address if who else "", target=row.server,
              cluster=row.cluster.name, detail={"kind": row.kind})  # fmt: skip
    row.delete()


def due(now: datetime.datetime | None = None) -> list[Drill]:
    """Rows of those whose time has come, for whoever gets them here; those that were missed are skipped."""
    now = now or timezone.now()
    rows = Schedule.objects.select_related("cluster").defer("cluster__config").filter(next_at__lte=now)
    return [taken for row in rows if (taken := _take(row, now)) is not None]


def _take(row: Schedule, now: datetime.datetime) -> Drill | None:
    at = row.next_at
    assert at is not None
    with transaction.atomic():
        if not Schedule.objects.filter(pk=row.pk, next_at=at).update(next_at=_following(row, at, now)):
            return None  # Another process has it.
        taken = Drill.objects.create(
            id=uuid.uuid5(_NAMESPACE, f"{row.pk} {at.timestamp()}"), cluster=row.cluster, schedule=row, by=row.by,
            **fields(row.wanted, row.server), first_event=newest_event(row.cluster), followed_at=timezone.now(),
        )  # fmt: skip
        why_not = "late" if (now - at).total_seconds() > _LATE_S else "" if _may_still(row) else "no_right"
        if why_not:
            log.warning("the scheduled drill %s is skipped: %s", row, why_not)
            close(taken, Drill.State.SKIPPED, findings=[[why_not, {"by": row.by}]])
    return None if why_not else taken


def _following(row: Schedule, at: datetime.datetime, now: datetime.datetime) -> datetime.datetime | None:
    """The same hour of the day and day of the week by the clock on the wall, also over a change of its time."""
    if not row.weekly:
        return None
    zone = timezone.get_current_timezone()
    naive = timezone.make_naive(at, zone)
    while (following := timezone.make_aware(naive, zone)) <= now:
        naive += _WEEK
    return following


def _may_still(row: Schedule) -> bool:
    """Who scheduled it may have lost the right since; from which address he asked counted then."""
    user = get_user_model().objects.filter(username=row.by.rpartition("@")[0], is_active=True).first()
    if user is None:
        return False
    roles = user.cluster_roles.filter(cluster=row.cluster, role="administrator")
    return user.is_superuser or user.groups.filter(name="administrator").exists() or roles.exists()
