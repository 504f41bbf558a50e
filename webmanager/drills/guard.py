"""Is a drill safe now, and what will come of it? For the person who asks; the servers decide again when it begins.

The rules
- What the manager knows must be fresh: an agent connected, no server's word old. Who cannot be seen cannot be drilled.
- Only within the cluster's window, and one drill at a time.
- The simulator plays the failure and its end from the state that is shown. A play in which a group ends nowhere, or is
  active on several servers for a moment, refuses the drill. So does one that cannot be played: nobody drills what he
  cannot predict.
- Then the servers are asked (`drill_check`); what they refuse is refused. They judge again, by the same rules, at the
  moment of the start (agent/engine/drill_guard.py): between this answer and that moment anything may have happened.
"""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone

from agent.wire.drill import Drill, events, wrong
from agent.wire.peer import Request
from webmanager import explain, play
from webmanager.drills.models import OPEN, Window
from webmanager.drills.models import Drill as Row
from webmanager.drills.words import GOOD
from webmanager.hub import Hub
from webmanager.ledger import in_db
from webmanager.models import Cluster

ASK_S = 15.0
_STALE_S = 5.0

Finding = tuple[str, dict[str, Any]]


class Checked(NamedTuple):
    findings: list[Finding]
    predicted: dict[str, dict[str, Any]]  # group -> outcome, to, outage_s; of those that are concerned
    steps: list[dict[str, Any]]  # of the play

    @property
    def safe(self) -> bool:
        return all(code in GOOD for code, _ in self.findings)


async def check(there: Hub, cluster: Cluster, drill: Drill, server: str, by: str, mine: Row | None = None) -> Checked:
    """All that stands in the way by the manager's own knowledge; only when nothing does, the dearer questions. `mine`:
    the row that it is for, where there is one."""
    found = _known(there, cluster, drill, server)
    found += await in_db(_kept, cluster, mine)
    if found:
        return Checked(found, {}, [])
    played = _played(there, cluster.name, drill, server)
    told, allowed = await asyncio.gather(played, _asked(there, cluster, drill, server, by))
    findings, predicted, steps = told
    return Checked([*findings, allowed], predicted, steps)


def _known(there: Hub, cluster: Cluster, drill: Drill, server: str) -> list[Finding]:
    status, config = there.status(cluster.name), there.config(cluster.name)
    if status is None or config is None:
        return [("no_status", {})]
    if server not in config.server_names:
        return [("unknown_server", {"server": server, "known": ", ".join(config.server_names)})]
    if why := wrong(drill, [one.name for one in config.heartbeats], [one.name for one in config.monitors]):
        return [("wrong", {"text": why})]
    snapshot = there.snapshot(cluster.name)
    if snapshot is None or not any(agent["connected"] for agent in snapshot["agents"].values()):
        return [("no_agent", {})]
    old = [one for one in status["servers"].values() if one["age_s"] > _STALE_S]
    return [("stale", {"server": one["name"], "age_s": one["age_s"]}) for one in old[:1]]


def others(cluster: Cluster, mine: Row | None = None) -> QuerySet[Row]:
    """Drills that are under way."""
    found = Row.objects.filter(cluster=cluster, state__in=OPEN)
    return found.exclude(pk=mine.pk) if mine is not None else found


def _kept(cluster: Cluster, mine: Row | None) -> list[Finding]:
    found: list[Finding] = []
    if others(cluster, mine).exists():
        found.append(("other_drill", {}))
    window = Window.objects.filter(cluster=cluster).first()
    if window is not None and not is_open(window, timezone.localtime()):
        found.append(("window", {}))
    return found


def is_open(window: Window, at: datetime.datetime) -> bool:
    """One that ends before it begins ends on the next day, and belongs to the day on which it began."""
    now, day = at.time(), at.weekday()
    if window.begins <= window.ends:
        return day in window.days and window.begins <= now < window.ends
    return (day in window.days and now >= window.begins) or ((day - 1) % 7 in window.days and now < window.ends)


async def _played(
    there: Hub, cluster: str, drill: Drill, server: str
) -> tuple[list[Finding], dict[str, dict[str, Any]], list[dict[str, Any]]]:
    config, status = there.config(cluster), there.status(cluster)
    assert config is not None
    assert status is not None
    try:
        (told,) = await play.ask(explain.question(config, status, (events(drill, server),)))
    except play.BusyError:
        return [("busy", {})], {}, []
    except play.FailedError as error:
        return [("not_predicted", {"text": str(error)})], {}, []
    if told.story is None:
        return [("not_predicted", {"text": told.error})], {}, []
    return _judged(told.story, drill)


def _judged(
    story: dict[str, Any], drill: Drill
) -> tuple[list[Finding], dict[str, dict[str, Any]], list[dict[str, Any]]]:
    bad: list[Finding] = [
        ("split", {"group": one["group"], "servers": ", ".join(one["servers"])}) for one in story["doubles"]
    ]
    predicted: dict[str, dict[str, Any]] = {}
    good: list[Finding] = []
    for fate in story["fates"]:
        values = {"outcome": fate["outcome"], "to": ", ".join(fate["after"]), "outage_s": fate["outage_s"]}
        predicted[fate["group"]] = values
        if fate["outcome"] in ("stops", "split"):
            bad.append(("stops", {"group": fate["group"], "why": fate["why"]}))
        elif fate["outage_s"]:
            good.append(("predicted", {"group": fate["group"], **values}))
    return [*bad, *(good or ([] if bad else [("predicted_stays", {})]))], predicted, story["steps"]


async def _asked(there: Hub, cluster: Cluster, drill: Drill, server: str, by: str) -> Finding:
    request = Request(id=f"check-{uuid.uuid4().hex}", op="drill_check", target=server, drill=drill, by=by)
    answer = await there.command(cluster.name, request, ASK_S, lambda text: None)
    return ("agents_allow" if answer.code == 0 else "agents", {"text": answer.text or answer.reason})
