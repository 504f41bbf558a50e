"""A made-up past in the database: what a manager would have recorded of a cluster that had a bad night."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import msgspec

from agent.wire.status import KINDS, diff
from tests.browser import cluster as made_up
from tests.browser.cluster import MadeUp
from webmanager.history import tape

LONG_AGO = 1_795_400_000.0
EMPTY: Any = {"cluster": {}} | {kind: {} for kind in KINDS}


@contextmanager
def clock(at: float) -> Iterator[SimpleNamespace]:
    """The made-up cluster's own time; `now` is set by whoever tells the story."""
    told = SimpleNamespace(now=at)
    real = made_up.time
    made_up.time = SimpleNamespace(time=lambda: told.now)  # type: ignore[assignment]
    try:
        yield told
    finally:
        made_up.time = real


class Story:
    """What happens is recorded as it happens; `save` brings it into the database."""

    def __init__(self, name: str, cluster: MadeUp, time: SimpleNamespace) -> None:
        self.name = name
        self.cluster = cluster
        self._time = time
        self._status = cluster.status()
        self._told = 0
        self.tapes: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self._begin()

    def _begin(self) -> None:
        agents = {name: one["connected"] for name, one in self.cluster.agents().items()}
        self._tape = tape.Recorder(self._time.now, self._status, agents)

    def at(self, seconds: float, act: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        """Seconds after the beginning of the story this happens, and is on the tape ten milliseconds later."""
        self._time.now = LONG_AGO + seconds
        act(*arguments, **more)
        fresh = [msgspec.to_builtins(note) for note in self.cluster.notes[self._told :]]
        fresh = [
            {"own_time": note["time"], "rule": "", "before": "", "after": "", "causes": [], **note} for note in fresh
        ]
        self._told = len(self.cluster.notes)
        self.notes += fresh
        status = self.cluster.status()
        agents = {name: one["connected"] for name, one in self.cluster.agents().items()}
        ids = [note["id"] for note in fresh]
        self._tape.add(self._time.now + 0.01, diff(self._status, status, ages=False), agents, ids)
        self._status = status

    def gap(self, begin: float, end: float) -> None:
        """The manager is not there."""
        self._time.now = LONG_AGO + begin
        self._end()
        self._time.now = LONG_AGO + end
        self._begin()

    def _end(self) -> None:
        data = self._tape.cut()
        self.tapes.append(
            {"writer": "w", "began": self._tape.began, "ended": max(self._time.now, self._tape.at), "closed": True,
             "frames": self._tape.frames, "size_bytes": len(data), "data": data}
        )  # fmt: skip

    def save(self, until: float) -> Any:
        from webmanager.history.models import Tape
        from webmanager.models import Cluster, Event

        self._time.now = LONG_AGO + until
        self._end()
        row, _ = Cluster.objects.get_or_create(name=self.name)
        Tape.objects.bulk_create([Tape(cluster=row, **values) for values in self.tapes])
        Event.objects.bulk_create(
            [Event(cluster=row, note_id=one["id"], time=one["time"], severity=one["severity"], kind=one["kind"],
                   name=one["name"], server=one["server"], code=f"{one['module']}:{one['event']}", text=one["text"],
                   note=one) for one in self.notes]
        )  # fmt: skip
        return row


def bad_night(name: str, servers: int = 2, groups: int = 2) -> dict[str, float]:
    """server1 dies and comes back, an operator moves a group home; for ten minutes nobody listened."""
    with clock(LONG_AGO) as time:
        cluster = MadeUp(servers=servers, groups=groups)
        story = Story(name, cluster, time)
        story.at(600.0, cluster.crash, "server1")
        story.at(601.2, cluster.finish)
        story.at(1500.0, _back, cluster)
        story.gap(1800.0, 2400.0)
        story.at(2700.0, cluster.move, "failover1", "server1")
        story.at(3000.0, _monitor_fails, cluster)
        story.save(3600.0)
    return {"began": LONG_AGO, "crash": LONG_AGO + 600, "back": LONG_AGO + 1500, "moved": LONG_AGO + 2700,
            "ended": LONG_AGO + 3600}  # fmt: skip


def _back(cluster: MadeUp) -> None:
    cluster.down.clear()
    cluster.note("server", "server1", "nm", 1, "server1")


def _monitor_fails(cluster: MadeUp) -> None:
    cluster.monitor_errors["pidw1", "server1"] = "The process has ended."
    cluster.note("monitor", "pidw1", "rm", 9, "pidw1", "server1", "The process has ended.")
