"""What is known of drills: reads only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils.translation import gettext as _

from webmanager import access
from webmanager.drills import words
from webmanager.drills.models import OPEN, Drill, Schedule, Window
from webmanager.drills.services import why
from webmanager.models import Cluster

PAGE = 50
_SHOWN_S = 0.001


def drill_or_404(key: Any) -> Drill:
    found = Drill.objects.select_related("cluster").defer("cluster__config").filter(id=key).first()
    if found is None or not access.asker_may_see(found.cluster):
        raise Http404(_("There is no such drill."))
    return found


def schedule_or_404(key: int) -> Schedule:
    found = Schedule.objects.select_related("cluster").defer("cluster__config").filter(id=key).first()
    if found is None or not access.asker_may_see(found.cluster):
        raise Http404(_("There is no such schedule."))
    return found


def drills(*, cluster: Cluster, before: str = "", limit: int = PAGE) -> list[Drill] | None:
    """Newest first, older than the one whose id `before` is. None: there is no such drill."""
    found = Drill.objects.filter(cluster=cluster)
    if before:
        try:
            last = found.get(id=before)
        except (Drill.DoesNotExist, ValidationError):
            return None
        found = found.filter(at__lt=last.at) | found.filter(at=last.at, id__gt=last.id)
    return list(found.select_related("cluster").defer("cluster__config")[:limit])


def running(*, cluster: Cluster) -> Drill | None:
    return Drill.objects.filter(cluster=cluster, state__in=OPEN).select_related("cluster").first()


def schedules(*, cluster: Cluster) -> list[Schedule]:
    return list(Schedule.objects.filter(cluster=cluster, next_at__isnull=False))


def window(*, cluster: Cluster) -> Window | None:
    return Window.objects.filter(cluster=cluster).first()


def shown(row: Drill) -> dict[str, Any]:
    """For lists and the head of its page."""
    word, look = words.STATES[row.state]
    groups = row.report.get("groups", [])
    worst = max((group["outage_s"] for group in groups if group["interrupted"]), default=None)
    return {
        "id": str(row.id), "title": words.title(row), "state": row.state, "word": word, "look": look, "by": row.by,
        "at": row.at.timestamp(), "ended": row.ended_at.timestamp() if row.ended_at else None, "bound_s": row.bound_s,
        "scheduled": row.schedule_id is not None, "outage_s": worst,
        "why": [words.marked(one) for one in why(row)], "open": row.is_open,
    }  # fmt: skip


def as_dict(row: Drill) -> dict[str, Any]:
    """For programs."""
    report = row.report
    return {
        "id": str(row.id), "cluster": row.cluster.name, "kind": row.kind, "server": row.server,
        "heartbeats": list(row.heartbeats), "way": row.way, "monitor": row.monitor, "bound_s": row.bound_s,
        "title": words.title(row), "state": row.state, "by": row.by, "at": row.at.timestamp(),
        "ended": row.ended_at.timestamp() if row.ended_at else None, "why": [words.sentence(one) for one in why(row)],
        "check": findings(row.findings),
        "groups": [_group(group) for group in report.get("groups", [])],
        "steps": [
            {"at_s": one["at_s"], "stage": one["stage"], "server": one["note"]["server"], "text": one["note"]["text"]}
            for one in report.get("steps", [])
        ],
        "taken_down_s": report.get("taken_down_s"), "away_s": report.get("away_s"),
    }  # fmt: skip


def _group(group: dict[str, Any]) -> dict[str, Any]:
    return {key: group[key] for key in ("group", "from", "to", "interrupted", "outage_s", "objective_s", "predicted_s",
                                        "failback_s")} | {"parts": group["parts"]}  # fmt: skip


def findings(found: Iterable[Any]) -> list[dict[str, Any]]:
    """For programs."""
    return [{"code": one[0], "good": one[0] in words.GOOD, "text": words.sentence(one)} for one in found]


def findings_shown(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"good": one[0] in words.GOOD, "text": words.marked(one)} for one in found]


def bars(row: Drill) -> list[dict[str, Any]]:
    """Each group that was interrupted: where its time went, as parts of the longest one."""
    groups = [group for group in row.report.get("groups", []) if group["interrupted"]]
    longest = max((max(g["outage_s"], g["objective_s"] or 0.0, g["predicted_s"] or 0.0) for g in groups), default=0.0)
    scale = 600.0 / longest if longest else 0.0
    return [
        group
        | {
            "bars": [
                {"x": round(part["at_s"] * scale, 2), "width": max(round(part["lasted_s"] * scale, 2), 1.0), **part,
                 "word": words.PARTS.get(part["kind"], part["kind"])}
                for part in group["parts"]
                if part["lasted_s"] >= _SHOWN_S
            ],
            "aim": round(group["objective_s"] * scale, 2) if group["objective_s"] is not None else None,
            "late": group["objective_s"] is not None and group["outage_s"] > group["objective_s"],
        }
        for group in groups
    ]  # fmt: skip


def scheduled(row: Schedule) -> dict[str, Any]:
    return {"id": row.pk, "title": words.title(row), "next_at": row.next_at.timestamp() if row.next_at else None,
            "weekly": row.weekly, "by": row.by, "bound_s": row.bound_s}  # fmt: skip
