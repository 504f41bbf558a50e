"""What people do with collections: start, cancel, delete; and what the manager does: forget the old ones."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from agent.wire.logs.conversation import DEFAULT_MIB
from webmanager.accounts import audit
from webmanager.logs import files, work
from webmanager.logs.models import Collection
from webmanager.logs.standing import standing
from webmanager.logs.tasks import collect_logs
from webmanager.models import Cluster

AT_ONCE = 4  # of one cluster: as many as an agent packs at a time
_WAITS_MOST = datetime.timedelta(hours=1)


class NotNowError(Exception):
    """Why nothing was begun, in a sentence that says what helps."""


def start(
    *, cluster: Cluster, status: dict[str, Any], servers: list[str], kind: str, user: Any, by: str,
    limit_mib: int = DEFAULT_MIB,
) -> Collection:  # fmt: skip
    """`servers` empty: all. The caller has checked role, names and limits. Raises NotNowError."""
    work.end_lost()
    going = Collection.objects.filter(
        cluster=cluster, state__in=(Collection.State.WAITING, Collection.State.RUNNING)
    ).count()
    if going >= AT_ONCE:
        text = _("Logs of this cluster are being collected %(n)d times already. Wait for one of them, or cancel one.")
        raise NotNowError(text % {"n": going})
    if files.is_full():
        raise NotNowError(_("The disk of the manager is nearly full. Delete logs that are not needed any more."))
    names = servers or list(status["servers"])
    row = Collection.objects.create(
        cluster=cluster, user=user, by=by, kind=kind, limit_mib=limit_mib, standing=standing(status),
        servers={name: {"percent": 0, "error": "", "clock": None} for name in names},
    )  # fmt: skip
    try:
        collect_logs.delay(str(row.pk))
    except (OSError, OperationalError):
        row.delete()
        raise NotNowError(_("The manager's message server does not answer, so nothing was begun.")) from None
    tell("logs.collect", row, by)
    return row


def cancel(*, row: Collection, by: str) -> None:
    """What still waits ends at once; a worker looks twice a second."""
    Collection.objects.filter(pk=row.pk).update(cancel=True)
    waiting = Collection.objects.filter(pk=row.pk, state=Collection.State.WAITING)
    waiting.update(state=Collection.State.CANCELLED, ended_at=timezone.now())
    tell("logs.cancel", row, by)


def delete(*, row: Collection, by: str) -> None:
    """What runs is cancelled with it: its worker finds its row gone."""
    files.remove(row.pk)
    tell("logs.delete", row, by)
    row.delete()


def tell(action: str, row: Collection, by: str) -> None:
    who, _at, address = by.rpartition("@")
    detail = {"collection": str(row.pk), "type": row.kind, "servers": list(row.servers)}
    audit.add(action, who=who or by, address=address, cluster=row.cluster.name, detail=detail)


def prune(*, now: datetime.datetime | None = None) -> None:
    """By age, number and size; and files that belong to nothing."""
    now = now or timezone.now()
    work.end_lost(now=now)
    stuck = Collection.objects.filter(state=Collection.State.WAITING, at__lt=now - _WAITS_MOST)
    stuck.update(state=Collection.State.FAILED, ended_at=now, error=_("No worker took it up within an hour."))
    doomed = set(
        Collection.objects.filter(at__lt=now - datetime.timedelta(days=settings.LOGS_DAYS)).values_list("pk", flat=True)
    )
    counts: dict[int, int] = {}
    total = 0
    ended = Collection.objects.exclude(state__in=(Collection.State.WAITING, Collection.State.RUNNING))
    for key, cluster, size in ended.order_by("-at").values_list("pk", "cluster_id", "size"):
        counts[cluster] = counts.get(cluster, 0) + 1
        total += size
        if counts[cluster] > settings.LOGS_KEPT or total > settings.LOGS_BYTES:
            doomed.add(key)
    Collection.objects.filter(pk__in=doomed).delete()
    for key in files.keys() - set(Collection.objects.values_list("pk", flat=True)):
        files.remove(key)
