"""Drills on request: begin, follow, end; at their time: schedules.py.

Rules of this file
- Who may: administrators begin and schedule, operators may end one. The callers have asked (access.py).
- The row is written before the servers are asked, its id is the request's id. Whoever dies in between leaves a row that
  says "asked"; what became of it the servers' notes tell, to whichever process looks next.
- A drill ends by itself on the servers. The row only follows: every process looks after open rows, one at a time
  (`followed_at`), and the report is made anew from the notes each time. So a manager that was killed finishes it later.
- The end is written once: the update names the state that the row had.
"""

from __future__ import annotations

import datetime
import logging
import uuid
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from agent.clpconf import model
from agent.wire.drill import Drill as Wanted
from agent.wire.peer import Answer, Request
from agent.wire.report import Note
from webmanager.accounts import audit
from webmanager.drills import guard
from webmanager.drills.measure import Facts, Measured, measure
from webmanager.drills.models import OPEN, Drill
from webmanager.drills.words import GOOD
from webmanager.hub import Hub, hub
from webmanager.ledger import in_db
from webmanager.models import Cluster, Event
from webmanager.recoveries import services as recoveries
from webmanager.recoveries.models import Objective

log = logging.getLogger(__name__)

_NOTES_MOST = 20_000
_FOLLOWED_S = 5.0  # a process that has not looked after an open drill for so long has died
_NEVER_BEGAN_S = 30.0
_CHECKED_S = 90.0  # whoever checks a scheduled drill for so long has died
_PATIENCE_S = 60.0  # beyond the bound, for all to come to rest
_BOOT_S = 600.0  # of a machine that was reset


async def start(
    *, cluster: Cluster, drill: Wanted, server: str, user: Any, by: str, key: uuid.UUID | None = None
) -> Drill:
    """Returns when the servers have answered. `key`: the row's id; one that is there already is returned as it is."""
    there = await hub().ready()
    if key is not None and (known := await in_db(_found, key)) is not None:
        return known
    checked = await guard.check(there, cluster, drill, server, by)
    before = _placed(there, cluster.name)
    row = await in_db(
        _create, key=key or uuid.uuid4(), cluster=cluster, drill=drill, server=server, user=user, by=by,
        checked=checked, before=before, follower=there.id,
    )  # fmt: skip
    return await _ask(there, row)


async def start_taken(row: Drill) -> Drill:
    """A scheduled one, whose row was written when its time came; checked only now."""
    there = await hub().ready()
    checked = await guard.check(there, row.cluster, row.wanted, row.server, row.by, row)
    row = await in_db(_judge, row, checked, _placed(there, row.cluster.name), there.id)
    return await _ask(there, row)


async def _ask(there: Hub, row: Drill) -> Drill:
    if row.state == Drill.State.ASKED:
        request = Request(id=str(row.id), op="drill_start", target=row.server, drill=row.wanted, by=row.by)
        answer = await there.command(row.cluster.name, request, guard.ASK_S, lambda text: None)
        row = await in_db(_answered, row, answer)
    there.announce(row.cluster.name, {"type": "drill", "drill": str(row.id)})
    return row


def _found(key: uuid.UUID) -> Drill | None:
    return Drill.objects.select_related("cluster").filter(id=key).first()


def _placed(there: Hub, cluster: str) -> dict[str, str]:
    status = there.status(cluster)
    groups = status["groups"].values() if status else ()
    return {group["name"]: group["current"] for group in groups if group["status"] == "Online"}


def _create(
    *, key: uuid.UUID, cluster: Cluster, drill: Wanted, server: str, user: Any, by: str, checked: guard.Checked,
    before: dict[str, str], follower: str,
) -> Drill:  # fmt: skip
    with transaction.atomic():
        findings = _locked(cluster, checked)
        safe = checked.safe and len(findings) == len(checked.findings)
        row = Drill.objects.create(
            id=key, cluster=cluster, user=user, by=by, **fields(drill, server), findings=findings,
            predicted=checked.predicted, before=before, first_event=newest_event(cluster), followed_at=timezone.now(),
            report={"follower": follower}, state=Drill.State.ASKED if safe else Drill.State.REFUSED,
            ended_at=None if safe else timezone.now(),
        )  # fmt: skip
    _tell(row, "asked" if safe else str(row.state))
    return row


def _judge(row: Drill, checked: guard.Checked, before: dict[str, str], follower: str) -> Drill:
    """The same of a row that is there. It stays as it is when somebody took this process for dead meanwhile."""
    with transaction.atomic():
        findings = _locked(row.cluster, checked, row)
        safe = checked.safe and len(findings) == len(checked.findings)
        now = timezone.now()
        mine = Drill.objects.filter(pk=row.pk, state=Drill.State.ASKED, findings=[]).update(
            findings=findings, predicted=checked.predicted, before=before, first_event=newest_event(row.cluster),
            at=now, followed_at=now, report={"follower": follower},
            state=Drill.State.ASKED if safe else Drill.State.SKIPPED, ended_at=None if safe else now,
        )  # fmt: skip
    _refresh(row)
    if mine:
        _tell(row, "asked" if safe else str(row.state))
    return row


def _locked(cluster: Cluster, checked: guard.Checked, mine: Drill | None = None) -> list[list[Any]]:
    """What was found, and what came up since. Two people at the same moment: the lock on the cluster's row lets one of
    them see the other's."""
    Cluster.objects.select_for_update().defer("config").get(pk=cluster.pk)
    found = [list(one) for one in checked.findings]
    if checked.safe and guard.others(cluster, mine).exists():
        found.append(["other_drill", {}])
    return found


def newest_event(cluster: Cluster) -> int:
    return Event.objects.filter(cluster=cluster).aggregate(newest=Max("id"))["newest"] or 0


def fields(drill: Wanted, server: str) -> dict[str, Any]:
    return {"kind": drill.kind, "server": server, "heartbeats": list(drill.heartbeats), "way": drill.way,
            "monitor": drill.monitor, "bound_s": drill.bound_s}  # fmt: skip


def _answered(row: Drill, answer: Answer) -> Drill:
    """Only a refusal is certain: whoever has not answered may have begun all the same."""
    if answer.code == 2:
        state = Drill.State.SKIPPED if row.schedule_id else Drill.State.REFUSED
        close(row, state, reason=answer.text)
    else:
        Drill.objects.filter(pk=row.pk, state=Drill.State.ASKED).update(state=Drill.State.RUNNING, reason=answer.text)
    _refresh(row)
    return row


def _refresh(row: Drill) -> None:
    """With its cluster, which nobody may fetch outside of the database's threads."""
    cluster = row.cluster
    row.refresh_from_db()
    row.cluster = cluster


def close(row: Drill, state: str, **more: Any) -> bool:
    """True for the one that did."""
    ended = {"state": state, "ended_at": timezone.now(), **more}
    done = bool(Drill.objects.filter(pk=row.pk, state__in=OPEN).update(**ended))
    if done:
        _tell(row, state)
    return done


def _tell(row: Drill, result: str) -> None:
    who, _, address = row.by.rpartition("@")
    audit.add(
        f"drill.{row.kind}", who=who or row.by, address=address if who else "", target=row.server,
        cluster=row.cluster.name, result=result, detail={"drill": str(row.pk)},
    )  # fmt: skip


# Ending -------------------------------------------------------------------------------------------------------------


async def end(*, row: Drill, by: str) -> str:
    """At once. What the servers say; "" when they do it."""
    there = await hub().ready()
    request = Request(id=f"end-{uuid.uuid4().hex}", op="drill_end", target=row.server, by=by)
    answer = await there.command(row.cluster.name, request, guard.ASK_S, lambda text: None)
    if answer.code == 0:
        await in_db(_note_end, row, by)
        return ""
    return answer.text or answer.reason


def _note_end(row: Drill, by: str) -> None:
    if Drill.objects.filter(pk=row.pk, state__in=OPEN, ended_by="").update(ended_by=by):
        who, _, address = by.rpartition("@")
        audit.add("drill.end", who=who or by, address=address if who else "", target=row.server,
                  cluster=row.cluster.name, detail={"drill": str(row.pk)})  # fmt: skip


# Following ------------------------------------------------------------------------------------------------------------


def claimed(me: str) -> list[Drill]:
    """Open drills that nobody else looks after now."""
    now = timezone.now()
    free = Q(followed_at__isnull=True) | Q(followed_at__lt=now - datetime.timedelta(seconds=_FOLLOWED_S))
    mine = []
    for row in Drill.objects.select_related("cluster").defer("cluster__config").filter(state__in=OPEN):
        ours = row.report.get("follower") == me
        if ours or Drill.objects.filter(free, pk=row.pk).update(followed_at=now):
            mine.append(row)
    return mine


def follow(row: Drill, me: str, status: dict[str, Any] | None, config: model.Cluster | None) -> Drill:
    """The report as of now; the end, when it is over or nobody waits for it any longer."""
    now = timezone.now()
    if row.unchecked:
        if (now - row.at).total_seconds() > _CHECKED_S:
            close(row, Drill.State.SKIPPED, findings=[["unchecked", {}]])
            row.refresh_from_db()
        return row
    measured = _measured(row, status, config, now.timestamp())
    report = {**measured.report, "follower": me}
    if measured.over or _overdue(row, measured, now, config):
        report.pop("follower")
        _claim(row, measured)
        close(row, measured.verdict, report=report)
    else:
        Drill.objects.filter(pk=row.pk, state__in=OPEN).update(report=report, followed_at=now)
    row.refresh_from_db()
    return row


def _overdue(row: Drill, measured: Measured, now: datetime.datetime, config: model.Cluster | None) -> bool:
    waited_s = (now - row.at).total_seconds()
    if measured.report["began"] is None:
        return waited_s > _NEVER_BEGAN_S
    patience_s = _BOOT_S if row.kind == "reset" else _PATIENCE_S
    return waited_s > row.bound_s + max(patience_s, 10 * (config.timeout_s if config else 0.0))


def _measured(row: Drill, status: dict[str, Any] | None, config: model.Cluster | None, now: float) -> Measured:
    groups = status["groups"] if status else {}
    server = status["servers"].get(row.server, {}) if status else {}
    found = Event.objects.filter(cluster=row.cluster, id__gt=row.first_event).order_by("id")
    notes = [msgspec.convert(note, Note, strict=False) for note in found.values_list("note", flat=True)[:_NOTES_MOST]]
    aims = Objective.objects.filter(cluster=row.cluster, recovery_s__isnull=False)
    facts = Facts(
        id=str(row.id), drill=row.wanted, server=row.server, before=row.before, predicted=row.predicted,
        objectives=dict(aims.values_list("group", "recovery_s")),
        owner={name: group.name for group in config.groups for name in group.resources} if config else {},
        now_on={name: group["current"] if group["status"] == "Online" else "" for name, group in groups.items()},
        server_online=server.get("status") == "Online", asked=row.at.timestamp(), now=now, ended_by=row.ended_by,
    )  # fmt: skip
    return measure(facts, notes)


def _claim(row: Drill, measured: Measured) -> None:
    """What it did to groups counts as planned in their availability."""
    began = measured.report["began"]
    names = [group["group"] for group in measured.report["groups"] if group["interrupted"]]
    if began is not None and names:
        recoveries.catch_up(cluster=row.cluster)
        recoveries.claim(cluster=row.cluster, groups=names, since=began - 1.0,
                         until=began + row.bound_s + _PATIENCE_S, drill=str(row.pk))  # fmt: skip


def why(row: Drill) -> list[Any]:
    """Why it is as it is, as [code, values] (words.py)."""
    if row.state in (Drill.State.REFUSED, Drill.State.SKIPPED):
        found = [one for one in row.findings if one[0] not in GOOD]
        return [*found, *([["said", {"text": row.reason}]] if row.reason else [])]
    return list(row.report.get("sentences", []))
