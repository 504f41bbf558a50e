"""Plays every single failure of two configurations, and looks for cuts that let a group run twice, with clpsim's means.

A worker does it, in the database's sight: its row says how far it is and is asked whether to go on.
"""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.utils import timezone

from agent.catalog import specs
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.sim.prove import prove
from agent.sim.sweep import Row, each, singles
from builder import contents
from builder.models import WhatIf

_LIMIT_S = 240.0
_MOST_FAULTS = 2  # at once, in the proof: a third one multiplies the time
_ASKED_EVERY_S = 0.5
_LOST_S = 90.0  # without a word of its worker, which asks far more often
SIDES = ("before", "after")


class _GivenUp(Exception):  # noqa: N818 - No error: somebody wanted it, or the time is over.
    pass


class _Player:
    def __init__(self, row: WhatIf) -> None:
        self.row = row
        self.ends = time.monotonic() + _LIMIT_S
        self.asked = 0.0
        self.going = True

    def play(self) -> None:
        clusters = {side: _cluster(bytes(getattr(self.row, side))) for side in SIDES if getattr(self.row, side)}
        failures = {side: list(singles(cluster)) for side, cluster in clusters.items()}
        self.save(state=WhatIf.State.RUNNING, total=sum(map(len, failures.values())) + len(clusters))
        defaults = {name: spec.depends_on for name, spec in specs().items()}
        for side, cluster in clusters.items():
            told: dict[str, Any] = {"rows": [], "splits": [], "assumptions": [], "proven": False}
            self.row.result[side] = told
            for row in each(cluster, defaults, failures[side]):
                told["rows"].append(_told(row))
                self.row.done += 1
                self.check()
            proof = prove(cluster, defaults, _MOST_FAULTS, self.go_on)
            told["splits"] = [
                {"faults": list(split.cut.faults), "groups": sorted({double.group for double in split.doubles})}
                for split in proof.splits
            ]
            told["assumptions"], told["proven"] = list(proof.assumptions), self.going
            self.row.done += 1
            self.check()

    def go_on(self) -> bool:
        """Not more often than the database likes to be asked."""
        now = time.monotonic()
        if now > self.ends:
            self.going = False
        elif now - self.asked > _ASKED_EVERY_S:
            self.asked = now
            self.save(done=self.row.done, told_at=timezone.now())
            self.going = self.going and WhatIf.objects.filter(pk=self.row.pk, cancel=False).exists()
        return self.going

    def check(self) -> None:
        if not self.go_on():
            raise _GivenUp

    def save(self, **changes: Any) -> None:
        WhatIf.objects.filter(pk=self.row.pk).update(**changes)


def play(key: int) -> None:
    """Of the row `key`, once."""
    waiting = WhatIf.objects.filter(pk=key, state=WhatIf.State.WAITING)
    if not waiting.update(state=WhatIf.State.RUNNING, told_at=timezone.now()):
        return
    row = WhatIf.objects.get(pk=key)
    player = _Player(row)
    state, error = WhatIf.State.DONE, ""
    try:
        player.play()
    except _GivenUp:
        state = WhatIf.State.STOPPED
    except _UnreadableError as unreadable:
        state, error = WhatIf.State.FAILED, str(unreadable)
    except Exception:
        player.save(state=WhatIf.State.FAILED, error="The simulator failed; see the manager's log.")
        raise
    player.save(state=state, error=error, result=row.result, done=row.done)


def end_lost() -> None:
    """A worker that was killed can end nothing: its plays would go on for ever, and keep the next ones away."""
    since = timezone.now() - datetime.timedelta(seconds=_LOST_S)
    lost = WhatIf.objects.filter(state=WhatIf.State.RUNNING, told_at__lt=since)
    lost.update(state=WhatIf.State.FAILED, error="The worker that played it ended in the middle. Play it again.")


class _UnreadableError(Exception):
    pass


def _cluster(packed: bytes) -> Cluster:
    loaded = load(contents.unpack(packed), specs())
    if loaded.cluster is None:
        worst = next((finding for finding in loaded.findings if finding.severity == "error"), None)
        raise _UnreadableError(str(worst) if worst is not None else "It names no cluster.")
    return loaded.cluster


def _told(row: Row) -> dict[str, Any]:
    return {
        "kind": row.failure.kind,
        "text": row.failure.text,
        "covered": row.covered,
        "fates": [
            {"group": one.group, "outcome": one.outcome, "to": ", ".join(one.after), "outage_s": one.outage_s}
            for one in row.fates
        ],
        "gaps": [{"group": gap.group, "why": gap.why} for gap in row.gaps],
    }
