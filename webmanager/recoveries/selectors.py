"""What is known of recoveries and of the availability of groups: reads only, after having caught up."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from webmanager.models import Cluster
from webmanager.recoveries import services
from webmanager.recoveries.availability import Board, Down, Sight, Span, board
from webmanager.recoveries.models import FirstSight, Listening, Objective, Recovery

PAGE = 50
PERIODS: dict[str, float] = {"24h": 86400.0, "7d": 7 * 86400.0, "30d": 30 * 86400.0, "365d": 365 * 86400.0}
_LISTENED_S = 45.0  # A break shorter than two looks of the watch is none.


def recoveries(
    *, cluster: Cluster, group: str = "", since: float | None = None, until: float | None = None, kind: str = "",
    before: int | None = None, limit: int = PAGE,
) -> list[Recovery]:  # fmt: skip
    """Newest first, without `data`; `before`: older than the one with this id."""
    services.catch_up(cluster=cluster)
    found = _filtered(cluster, group, since, until, kind)
    if before is not None:
        last = Recovery.objects.filter(cluster=cluster, pk=before).values_list("begun", flat=True).first()
        if last is None:
            return []
        found = found.filter(Q(begun__lt=last) | Q(begun=last, id__lt=before))
    return list(found.order_by("-begun", "-id").defer("data")[:limit])


def _filtered(
    cluster: Cluster, group: str, since: float | None, until: float | None, kind: str
) -> QuerySet[Recovery]:  # fmt: skip
    found = Recovery.objects.filter(cluster=cluster)
    if group:
        found = found.filter(group=group)
    if kind:
        found = found.filter(kind=kind)
    if since is not None:
        found = found.filter(begun__gte=since)
    if until is not None:
        found = found.filter(begun__lte=until)
    return found


def recovery(*, key: int) -> Recovery | None:
    found = Recovery.objects.select_related("cluster").defer("cluster__config").filter(pk=key).first()
    if found is None:
        return None
    services.catch_up(cluster=found.cluster)
    return Recovery.objects.select_related("cluster").defer("cluster__config").filter(pk=key).first()


def running(*, cluster: Cluster) -> bool:
    return Recovery.objects.filter(cluster=cluster, result=Recovery.Result.RUNNING).exists()


def groups(*, cluster: Cluster) -> list[str]:
    """Of which something is known."""
    known = {*FirstSight.objects.filter(cluster=cluster).values_list("group", flat=True)}
    known |= {*Recovery.objects.filter(cluster=cluster).order_by().values_list("group", flat=True).distinct()}
    return sorted(known)


def objectives(*, cluster: Cluster) -> dict[str, Objective]:
    return {one.group: one for one in Objective.objects.filter(cluster=cluster)}


class Account(NamedTuple):
    """What is needed to count the availability of the groups of one cluster in any time up to now."""

    now: float
    sights: dict[str, Sight]
    downs: dict[str, list[Down]]
    listened: list[Span]

    def board(self, group: str, period_s: float) -> Board:
        since = self.now - period_s
        return board(since, self.now, self.sights.get(group), self.downs.get(group, []), self.listened)


def account(*, cluster: Cluster, period_s: float, group: str = "", now: float | None = None) -> Account:
    """Four queries, however many groups there are."""
    services.catch_up(cluster=cluster)
    now = time.time() if now is None else now
    since = now - period_s
    only = {"group": group} if group else {}
    lasting = Q(begun__gte=since) | Q(outage_to__gte=since) | Q(outage_from__isnull=False, outage_to__isnull=True)
    rows = Recovery.objects.filter(lasting, cluster=cluster, begun__lte=now, **only)
    downs: dict[str, list[Down]] = defaultdict(list)
    names = ("group", "kind", "planned", "drill", "result", "begun", "outage_from", "outage_to")
    for name, kind, planned, drill, result, begun, from_, to in rows.values_list(*names):
        downs[name].append(Down(kind, planned or bool(drill), result, begun, from_, to))
    sights = {
        name: Sight(at, bool(server))
        for name, at, server in FirstSight.objects.filter(cluster=cluster, **only).values_list("group", "at", "server")
    }
    _started_before(cluster, since, sights)
    heard = Listening.objects.filter(cluster=cluster, until__gte=since, begun__lte=now)
    spans = [(begin, end if now - end > _LISTENED_S else now) for begin, end in heard.values_list("begun", "until")]
    return Account(now, sights, downs, spans)


def _started_before(cluster: Cluster, since: float, sights: dict[str, Sight]) -> None:
    """Groups that did not run at first, but were started before this time begins."""
    waiting = [name for name, sight in sights.items() if not sight.running and sight.at < since]
    if waiting:
        up = (Recovery.Result.ONLINE, Recovery.Result.PARTLY)
        rows = Recovery.objects.filter(cluster=cluster, group__in=waiting, result__in=up, begun__lt=since)
        for name in rows.order_by().values_list("group", flat=True).distinct():
            sights[name] = Sight(sights[name].at, True)


def as_dict(row: Recovery) -> dict[str, Any]:
    """For programs."""
    return {
        "id": row.pk,
        "group": row.group,
        "kind": row.kind,
        "trigger": row.trigger,
        "subject": row.subject,
        "planned": row.planned or bool(row.drill),
        "drill": row.drill,
        "result": row.result,
        "from": row.source,
        "to": row.target,
        "begun": row.begun,
        "ended": row.ended,
        "outage_from": row.outage_from,
        "outage_to": row.outage_to,
        "outage_s": row.outage_s,
        "rule": row.rule,
        "path": [
            {"kind": p["kind"], "name": p["name"], "server": p["server"], "begun": p["begun"],
             "lasted_s": p["ended"] - p["begun"], "result": p["result"]}
            for p in row.path
        ],
    }  # fmt: skip
