"""What readers see of the engine: the cluster's status as this server knows it, and the notice that it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from agent.clpconf.model import Cluster
from agent.daemon.journal import Journal
from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.status import Source, build_status, timed

GATHER_S = 0.002  # changes within this time are told together; readers for whom telling costs more gather longer


class EngineView(Protocol):
    """What the shell reads of the engine; it changes only inside of Engine.handle."""

    @property
    def report(self) -> Report: ...
    @property
    def table(self) -> Table: ...
    @property
    def reports(self) -> Mapping[str, tuple[Report, float]]: ...


def stale_after_s(cluster: Cluster) -> float:
    """Reports are repeated well within the heartbeat timeout; below a few seconds a busy server is not yet news."""
    return max(3.0, cluster.timeout_s)


class Observer:
    """Readers subscribe and look when they are woken; a reader that is slow misses steps, never the newest state."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        engine: EngineView,
        journal: Journal,
        now: Callable[[], float],
        unlinked_s: Callable[[str], float],
    ) -> None:
        self.cluster = cluster
        self.me = me
        self.journal = journal
        self.now = now
        self._engine = engine
        self._unlinked_s = unlinked_s  # seconds since the peer's link to us ended, 0 while it holds
        self._silent_since: dict[str, float] = {}
        self._wakers: set[asyncio.Event] = set()
        self._told: object = None
        self._due: asyncio.TimerHandle | None = None
        self._told_at = 0.0

    def reports(self) -> dict[str, Report]:
        found = {name: entry[0] for name, entry in self._engine.reports.items()}
        found[self.me] = self._engine.report
        return found

    def peer_heard(self, server: str) -> None:
        self._silent_since.pop(server, None)

    def peer_lost(self, server: str, since: float) -> None:
        self._silent_since.setdefault(server, since)

    def ages(self) -> dict[str, float]:
        """server -> seconds since its report was last known to be right; 0 for this server.

        A peer pushes its report at each change, so while it is heard and linked to us nothing has changed since.
        """
        now = self.now()
        found = {}
        for name, (_, came) in self._engine.reports.items():
            silent_s = now - self._silent_since.get(name, now)
            found[name] = round(max(0.0, min(now - came, max(silent_s, self._unlinked_s(name)))), 3)
        found[self.me] = 0.0
        return found

    def table(self) -> Table | None:
        return self._engine.table

    def status(self) -> dict[str, Any]:
        ages = self.ages()
        sources: dict[str, Source] = {n: (r, ages[n], self.me) for n, r in self.reports().items()}
        status = build_status(self.cluster, sources, self.table(), stale_after_s(self.cluster))
        # All steady clocks begin with the time of day: ours is as good as theirs for a countdown.
        return timed(status, dict.fromkeys(sources, self.now()))

    def touch(self) -> None:
        """The engine has handled something. Costs nothing while nobody reads."""
        if self._wakers and self._due is None:
            loop = asyncio.get_running_loop()
            # The first change is told at once; what follows closely is gathered.
            self._due = loop.call_at(max(loop.time(), self._told_at + GATHER_S), self._look)

    @contextmanager
    def subscribed(self) -> Iterator[asyncio.Event]:
        """The event is set at each change; the reader clears it."""
        if not self._wakers:
            self._told = self._version()
        waker = asyncio.Event()
        self._wakers.add(waker)
        try:
            yield waker
        finally:
            self._wakers.discard(waker)

    def _version(self) -> object:
        table = self._engine.table
        versions = {name: (r.incarnation, r.seq, r.heard) for name, r in self.reports().items()}
        return versions, table and (table.epoch, table.version), self.journal.total

    def _look(self) -> None:
        self._due = None
        version = self._version()
        if version != self._told:
            self._told = version
            self._told_at = asyncio.get_running_loop().time()
            for waker in self._wakers:
                waker.set()
