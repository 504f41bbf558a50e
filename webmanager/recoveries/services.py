"""Keeps the recoveries of a cluster: looks through what came since the last time, as often as anybody asks.

Rules of this file
- The events say all: what is stored is found from them again, so that nothing is missed while the manager was dead,
  what comes late is put where it belongs, and to look twice changes nothing.
- Only what new events can change is looked at: their groups, from a moment on in which none of these recovered.
- A recovery whose events were pruned since is left as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from agent.clpconf import model
from agent.wire.report import Note
from webmanager import configs
from webmanager.models import Cluster, Event
from webmanager.recoveries.evidence import place
from webmanager.recoveries.models import FirstSight, Listening, Objective, Recovery, Sifted
from webmanager.recoveries.path import path
from webmanager.recoveries.sift import SEQUEL_S, Found, Standing, sift

log = logging.getLogger(__name__)

_BATCH = 5000  # events at a time
_WINDOW_MOST = 50_000  # events that are looked at for one batch
_EVIDENCE_S = 300.0  # Causes so long before are looked for by time, older ones by name.
_CAUSES_MOST = 500
_SEQUEL_DAYS = 7  # A group that is down for longer begins a new recovery when it comes up.
_NOTES_KEPT = 400  # of a recovery
_LISTENING_GAP_S = 45.0
_FAR_S = 1e-3
_TAIL_S = 5.0  # So long after its end something may be said of a recovery: that it is done.
_KEPT_DAYS = 400


def catch_up(*, cluster: Cluster, now: float | None = None) -> None:
    """All that is stored by now is looked at when this returns."""
    now = time.time() if now is None else now
    while _due(cluster) and _sift_batch(cluster, now):
        pass


def _due(cluster: Cluster) -> bool:
    mark = Sifted.objects.filter(cluster=cluster).values_list("event", flat=True).first() or 0
    if Event.objects.filter(cluster=cluster, id__gt=mark).exists():
        return True
    return Recovery.objects.filter(cluster=cluster, result=Recovery.Result.RUNNING).exists()


@transaction.atomic
def _sift_batch(cluster: Cluster, now: float) -> bool:
    """Whether there may be more."""
    Sifted.objects.get_or_create(cluster=cluster)
    mark = Sifted.objects.select_for_update().get(cluster=cluster)
    new = list(
        Event.objects.filter(cluster=cluster, id__gt=mark.event)
        .order_by("id")
        .values_list("id", "time", "note")[:_BATCH]
    )
    if new:
        mark.event = new[-1][0]
        mark.save(update_fields=["event"])
    config = _config(cluster)
    owner = {name: group.name for group in config.groups for name in group.resources} if config else {}
    since = min((at for _, at, _ in new), default=now)
    groups = _touched(cluster, (note for _, _, note in new), owner, since)
    if groups:
        _look(cluster, groups, _calm(cluster, groups, since), mark.event, owner, now, config)
    return len(new) == _BATCH


def _config(cluster: Cluster) -> model.Cluster | None:
    data = Cluster.objects.filter(pk=cluster.pk).values_list("config", flat=True).first()
    return configs.load(bytes(data))[0] if data else None


def _touched(cluster: Cluster, new: Iterable[dict[str, Any]], owner: dict[str, str], since: float) -> set[str]:
    """Groups that new events are about, and those that recover or did just now: evidence may have come late."""
    near = Q(result=Recovery.Result.RUNNING) | Q(ended__gte=since - 120.0)
    found = set(Recovery.objects.filter(near, cluster=cluster).values_list("group", flat=True))
    for note in new:
        if note["kind"] == "group":
            found.add(note["name"])
        elif note["kind"] == "resource" and note["name"] in owner:
            found.add(owner[note["name"]])
        elif note["module"] == "rm" and note["event"] in (12, 13, 14, 19, 20):
            target = (note["params"] or [""])[-1 if note["event"] == 12 else 0]
            found.add(owner.get(target, target))
    return found - {""}


def _calm(cluster: Cluster, groups: set[str], since: float) -> float:
    """A time at which none of these groups recovered, at or before `since`."""
    rows = Recovery.objects.filter(cluster=cluster, group__in=groups)
    week = since - _SEQUEL_DAYS * 86400.0
    for _ in range(100):
        over = Q(ended__isnull=True) | Q(ended__gte=since - _TAIL_S)
        down = Q(outage_from__isnull=False) & (Q(outage_to__isnull=True) | Q(outage_to__gte=since))
        failed = Q(result=Recovery.Result.FAILED, ended__gte=since - SEQUEL_S)
        sequel = Q(begun__gte=week, planned=False) & (down | failed)
        first = rows.filter(over | sequel, begun__lt=since).order_by("begun").values_list("begun", flat=True).first()
        if first is None:
            break
        since = first
    return since - _FAR_S


def _look(
    cluster: Cluster, groups: set[str], since: float, until_id: int, owner: dict[str, str], now: float,
    config: model.Cluster | None,
) -> None:  # fmt: skip
    stored = Event.objects.filter(cluster=cluster, id__lte=until_id, time__gte=since - _EVIDENCE_S)
    told = list(stored.order_by("-time", "-id").values_list("note", flat=True)[:_WINDOW_MOST])
    if len(told) == _WINDOW_MOST:
        since = max(since, min(note["time"] for note in told) + _EVIDENCE_S)
    notes = _with_causes(cluster, told)
    sifting = sift(notes, owner, now, _standings(cluster, groups, since), since, groups)
    oldest = Event.objects.filter(cluster=cluster).order_by("time").values_list("time", flat=True).first()
    _save(cluster, groups, max(since, oldest if oldest is not None else since), sifting.found, config)
    before = Recovery.objects.filter(cluster=cluster, group__in=groups, begun__lt=since - _FAR_S)
    before.filter(outage_to__gte=since).update(outage_to=None)
    for (group, key), at in sifting.over.items():
        before.filter(group=group, key=key).update(outage_to=at)


def _with_causes(cluster: Cluster, told: Sequence[dict[str, Any]]) -> list[Note]:
    """Decisions may be older than the window."""
    notes = {note["id"]: note for note in told}
    for _ in range(4):
        missing = [cause for note in notes.values() for cause in note["causes"] if cause not in notes]
        asked = list(dict.fromkeys(missing))[:_CAUSES_MOST]
        more = Event.objects.filter(cluster=cluster, note_id__in=asked).values_list("note", flat=True) if asked else []
        if not more:
            break
        notes |= {note["id"]: note for note in more}
    return [note for note in map(_note, notes.values()) if note is not None]


def _note(stored: dict[str, Any]) -> Note | None:
    try:
        return msgspec.convert(stored, Note)
    except msgspec.ValidationError:
        log.warning("event %s cannot be read", stored.get("id"))
        return None


def _standings(cluster: Cluster, groups: set[str], since: float) -> dict[str, Standing]:
    """How each group stood: by its newest recovery before, else by how it was seen first."""
    found = {}
    first = FirstSight.objects.filter(cluster=cluster, group__in=groups, at__lte=since)
    for group, server in first.values_list("group", "server"):
        found[group] = Standing((server,) if server else ())
    before = Recovery.objects.filter(cluster=cluster, group__in=groups, begun__lt=since).order_by("begun", "id")
    for row in before.only("group", "key", "result", "target", "outage_from", "outage_to"):
        if row.result in (Recovery.Result.ONLINE, Recovery.Result.PARTLY):
            found[row.group] = Standing((row.target,) if row.target else ())
        else:
            is_down = row.outage_from is not None and (row.outage_to is None or row.outage_to >= since)
            found[row.group] = Standing((), row.key if is_down else "")
    return found


def _save(cluster: Cluster, groups: set[str], since: float, found: list[Found], config: model.Cluster | None) -> None:
    there = list(Recovery.objects.filter(cluster=cluster, group__in=groups, begun__gte=since - _FAR_S).defer("data"))
    by_key = {(row.key, row.group): row for row in there}
    kept: set[int] = set()
    for one in found:
        row = by_key.get((one.key, one.group)) or _same(there, one, kept, {(f.key, f.group) for f in found})
        values = _values(one, config)
        if row is None:
            row = Recovery.objects.update_or_create(
                cluster=cluster, key=one.key, group=one.group, defaults=values
            )[0]  # fmt: skip
        else:
            Recovery.objects.filter(pk=row.pk).update(key=one.key, **values)
        kept.add(row.pk)
    Recovery.objects.filter(pk__in=[row.pk for row in there if row.pk not in kept]).delete()


def _same(there: list[Recovery], one: Found, kept: set[int], keys: set[tuple[str, str]]) -> Recovery | None:
    """Its row, although an earlier decision became known: links to it stay right."""
    for row in there:
        overlaps = row.begun <= (one.ended or one.begun) + _FAR_S and one.begun <= (row.ended or row.begun) + _FAR_S
        if row.group == one.group and row.pk not in kept and (row.key, row.group) not in keys and overlaps:
            return row
    return None


def _values(one: Found, config: model.Cluster | None) -> dict[str, Any]:
    begun = one.begun if one.outage_from is None else min(one.begun, one.outage_from)
    end = one.ended if one.ended is not None else max([begun, *(line.at for line in one.lines)])
    monitor = next((m for m in config.monitors if m.name == one.subject), None) if config else None
    parts = path(begun, end, one.verdict_at, one.decided_at, one.steps)
    own = sorted(one.lines, key=lambda line: (line.note.kind not in ("group", "resource"), line.at))[:_NOTES_KEPT]
    data = {
        "heard_at": one.heard_at,
        "verdict_at": one.verdict_at,
        "decided_at": one.decided_at,
        "timeout_s": config.timeout_s if config else None,
        "interval_s": monitor.interval_s if monitor and one.trigger == "monitor" else None,
        "steps": msgspec.to_builtins(one.steps),
        "notes": [
            {**msgspec.to_builtins(line.note), "time": line.at, "causes": list(line.note.causes),
             "params": list(line.note.params), "rule": line.note.rule}
            for line in sorted(own, key=place)
        ],
    }  # fmt: skip
    return {
        "kind": one.kind, "trigger": one.trigger, "planned": one.planned, "result": one.result, "source": one.source,
        "target": one.target, "begun": begun, "ended": one.ended, "outage_from": one.outage_from,
        "outage_to": one.outage_to, "subject": one.subject[:255],
        "rule": one.rule[:64], "path": msgspec.to_builtins(parts), "data": data,
    }  # fmt: skip


# What else is kept.


def listened(*, cluster: Cluster, now: float) -> None:
    """The manager hears an agent of this cluster now."""
    rows = Listening.objects.filter(cluster=cluster, until__gte=now - _LISTENING_GAP_S, begun__lte=now)
    if not rows.update(until=now):
        Listening.objects.create(cluster=cluster, begun=now, until=now)


def saw(*, cluster: Cluster, running: dict[str, str], now: float) -> None:
    """group -> server ("" nowhere), of groups that may be new."""
    rows = [FirstSight(cluster=cluster, group=group, at=now, server=server) for group, server in running.items()]
    FirstSight.objects.bulk_create(rows, ignore_conflicts=True)


def set_objective(*, cluster: Cluster, group: str, recovery_s: float | None, percent: float | None, by: str) -> None:
    if recovery_s is None and percent is None:
        Objective.objects.filter(cluster=cluster, group=group).delete()
        return
    values = {"recovery_s": recovery_s, "percent": percent, "by": by}
    Objective.objects.update_or_create(cluster=cluster, group=group, defaults=values)


def claim(*, cluster: Cluster, groups: Iterable[str], since: float, until: float, drill: str) -> int:
    """What began in this time was meant to happen: it counts as planned. Returns how many."""
    rows = Recovery.objects.filter(cluster=cluster, group__in=list(groups), begun__gte=since, begun__lte=until)
    return rows.update(drill=drill[:255])


def prune(*, now: float | None = None) -> None:
    edge = (time.time() if now is None else now) - _KEPT_DAYS * 86400.0
    Recovery.objects.filter(begun__lt=edge).exclude(result=Recovery.Result.RUNNING).delete()
    Listening.objects.filter(until__lt=edge).delete()
    for cluster in Cluster.objects.defer("config"):
        rows = Recovery.objects.filter(cluster=cluster).order_by("-begun", "-id").values_list("begun", flat=True)
        if edge_row := rows[settings.RECOVERIES_KEPT : settings.RECOVERIES_KEPT + 1]:
            Recovery.objects.filter(cluster=cluster, begun__lte=edge_row[0]).delete()
