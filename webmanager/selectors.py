"""What the manager knows: reads only."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from agent.clpconf import model
from webmanager import parts, play
from webmanager.hub import hub
from webmanager.models import Cluster, Event, Operation

log = logging.getLogger(__name__)

PAGE = 100
_CAUSES_SHOWN = 200


def clusters() -> list[Cluster]:
    return list(Cluster.objects.defer("config"))


def cluster(*, name: str) -> Cluster | None:
    return Cluster.objects.defer("config").filter(name=name).first() if name else None


def first_cluster() -> Cluster | None:
    return Cluster.objects.defer("config").first()


# Live state; these run on the server's event loop.


async def status(*, cluster: str) -> dict[str, Any] | None:
    return (await hub().ready()).status(cluster)


async def snapshot(*, cluster: str) -> dict[str, Any] | None:
    return (await hub().ready()).snapshot(cluster)


async def uptimes(*, cluster: str) -> dict[str, float]:
    """Group -> seconds since it came online where it is; groups that are not online are left out."""
    there = await hub().ready()
    status, clocks = there.status(cluster), there.clocks(cluster)
    groups = status["groups"].values() if status else ()
    return {
        group["name"]: max(0.0, clocks.get(group["current"], time.time()) - group["since"])
        for group in groups
        if group["status"] == "Online" and group["since"]
    }


async def snapshots(*, clusters: list[str]) -> dict[str, dict[str, Any]]:
    """Of those that are known."""
    there = await hub().ready()
    return {name: found for name in clusters if (found := there.snapshot(name)) is not None}


async def config(*, cluster: str) -> model.Cluster | None:
    return (await hub().ready()).config(cluster)


async def preview(*, cluster: str, op: str, target: str, server: str) -> dict[str, Any]:
    """What would happen, by the simulator: {"steps", "refusal", "downtime_s", "error"}."""
    there = await hub().ready()
    known, now = there.config(cluster), there.status(cluster)
    if known is None or now is None:
        return _unknown(_("No readable configuration of this cluster is known, so nothing can be predicted."))
    stages = parts.stages(uuid.uuid4(), op, target, server, now)
    asks = [[(part.op, part.target, part.server) for part in stage] for stage in stages]
    try:
        found = await play.preview(play.Preview(cluster=known, status=now, stages=asks))
    except play.BusyError:
        return _unknown(_("The simulator is busy with other questions, so nothing is predicted. Ask again, or go on."))
    except play.TooLongError:
        return _unknown(_("The prediction took longer than %(limit)d s and was given up.") % {"limit": play.PREVIEW_S})
    except play.FailedError:
        return _unknown(_("The prediction failed (see the manager's log). The operation itself is possible."))
    return _unknown("") | found


def _unknown(error: str) -> dict[str, Any]:
    return {"steps": [], "refusal": None, "downtime_s": {}, "error": error}


def resolvers(status: dict[str, Any]) -> list[dict[str, Any]]:
    """How each server reaches each network partition resource: name, type, server, status, since, detail."""
    found = [
        {"name": name, "type": one["type"], "server": server["name"]}
        | {key: one[key] for key in ("status", "since", "detail")}
        for server in status["servers"].values()
        for name, one in server["heartbeats"].items()
        if one["type"].endswith("np")
    ]
    return sorted(found, key=lambda one: one["name"])


async def agents(*, cluster: str) -> dict[str, bool]:
    """node -> whether its agent is connected, to whichever process."""
    found = await snapshot(cluster=cluster)
    return {node: bool(one["connected"]) for node, one in found["agents"].items()} if found else {}


# Events and operations; ordinary queries.


def events_after(*, cluster: Cluster, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """In order of arrival, so that a late note is not missed: (cursor, note)."""
    found = Event.objects.filter(cluster=cluster, id__gt=after).order_by("id")
    return [(event.pk, {**event.note, "acknowledged": acknowledgement(event)}) for event in found[:limit]]


def acknowledgement(event: Event) -> dict[str, Any] | None:
    """Who has seen it, None when nobody said so."""
    if event.acked_at is None:
        return None
    return {"by": event.acked_by, "at": event.acked_at, "comment": event.ack_comment}


_APPLIED = (72, 81, 82)  # cp: in force on all servers, in force again after a change was taken back, confirmed


def config_applied_at(*, cluster: Cluster) -> float:
    """When the clp.conf that runs was applied, by the servers' own log; else when this manager first saw it."""
    told = Event.objects.filter(cluster=cluster, kind="cluster", note__module="cp", note__event__in=_APPLIED)
    for note in told.order_by("-time").values_list("note", flat=True)[:PAGE]:
        if cluster.config_hash.startswith((note["params"][1:2] or ("?",))[0]):
            return float(note["time"])
    return cluster.seen_at.timestamp()


def events_about(*, cluster: Cluster, kind: str, name: str, limit: int = 50) -> list[dict[str, Any]]:
    """About one object, with all their causes; newest first."""
    about = Event.objects.filter(cluster=cluster, kind=kind, name=name).order_by("-time", "-note_id")
    found = {note["id"]: note for note in about.values_list("note", flat=True)[:limit]}
    missing = _causes(found.values()) - found.keys()
    while missing and len(found) < _CAUSES_SHOWN:
        asked = list(missing)[:_CAUSES_SHOWN]
        more = Event.objects.filter(cluster=cluster, note_id__in=asked).values_list("note", flat=True)
        new = {note["id"]: note for note in more}
        found |= new
        missing = _causes(new.values()) - found.keys()
    return sorted(found.values(), key=lambda note: (note["time"], note["id"]), reverse=True)


def _causes(notes: Iterable[dict[str, Any]]) -> set[str]:
    return {cause for note in notes for cause in note["causes"]}


def operations_before(
    *, cluster: Cluster, before: str, limit: int, op: str = "", state: str = "", q: str = ""
) -> list[Operation] | None:
    """Newest first; older than the operation whose id `before` is. None: there is no such operation. `q`: in its
    target, server, reason or in who asked."""
    found = Operation.objects.filter(cluster=cluster)
    if before:
        try:
            last = found.get(id=before)
        except (Operation.DoesNotExist, ValidationError):
            return None
        found = found.filter(Q(at__lt=last.at) | Q(at=last.at, id__gt=last.id))
    if op:
        found = found.filter(op=op)
    if state:
        found = found.filter(state=state)
    if q:
        word = q.replace("\0", "")
        found = found.filter(
            Q(target__icontains=word) | Q(server__icontains=word) | Q(by__icontains=word) | Q(why__icontains=word)
        )
    return list(found[:limit])
