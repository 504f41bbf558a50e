"""Gathers what the heartbeat child measures and hands it to the engine: seldom, or at once when it is alarming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from agent.daemon.heartbeat_lan import steady
from agent.engine.answers import alike
from agent.engine.events import Measured
from agent.engine.gaps import Figures
from agent.engine.hearing import NEAR
from agent.wire.report import GapReport, HealthReport

_SELDOM_S = 30.0
_A_SERVER_S = 2.0  # Each figure goes to every server: the more there are, the more seldom.
_ENOUGH = 50  # beats, before a distribution says anything


class Measurements:
    def __init__(
        self, servers: int, timeout_s: float, feed: Callable[[Measured], None], now: Callable[[], float]
    ) -> None:
        """`now`: the clock of reports."""
        self._every_s = max(_SELDOM_S, servers * _A_SERVER_S)
        self._near_ms = NEAR * timeout_s * 1000
        self._feed = feed
        self._now = now
        self._offset = now() - steady()
        self._paths: dict[str, dict[str, GapReport]] = {}
        self._peers: dict[str, GapReport] = {}
        self._health = HealthReport()
        self._lately: dict[tuple[str, str], float] = {}  # the longest since the last telling
        self._due = 0.0
        self._told: Measured | None = None
        self._alarming: set[float] = set()  # times of gaps near the timeout

    def take(self, message: dict[str, Any]) -> None:
        """A "gaps" or "health" message of the child."""
        if message["type"] == "health":
            late, lease, daemon = (self._plain(message[key]) for key in ("late", "lease", "daemon"))
            self._health = HealthReport(late=late, lease=lease, daemon=daemon)
        else:
            server = message["server"]
            paths = {name: self._report(figures) for name, figures in message["paths"].items()}
            self._paths[server] = {n: self._noting((server, n), g) for n, g in paths.items() if g is not None}
            if (gaps := self._report(message["all"])) is not None:
                self._peers[server] = self._noting((server, ""), gaps)
        self._tell()

    def _tell(self) -> None:
        now = self._now()
        alarming = {gaps.worst_at for gaps in self._all() if gaps.worst_ms >= self._near_ms}
        news = alarming - self._alarming
        if not (self._peers and (news or now >= self._due)):
            return
        self._lengths()
        measured = Measured(paths=dict(self._paths), peers=dict(self._peers), health=self._health)
        self._lately.clear()
        self._due = now + self._every_s
        if measured != self._told:
            self._told, self._alarming = measured, alarming
            self._feed(measured)

    def _noting(self, path: tuple[str, str], gaps: GapReport) -> GapReport:
        """Keeps the longest gap until it is told; the figures say of it what they said before."""
        self._lately[path] = max(self._lately.get(path, 0.0), gaps.lately_ms)
        return replace(gaps, lately_ms=self._before(path))

    def _before(self, path: tuple[str, str]) -> float:
        told, (server, name) = self._told, path
        if told is None:
            return 0.0
        known = told.paths.get(server, {}).get(name) if name else told.peers.get(server)
        return known.lately_ms if known is not None else 0.0

    def _lengths(self) -> None:
        """The longest gaps since the last telling, where they differ enough from what was told then."""
        for (server, name), longest in self._lately.items():
            before = self._before((server, name))
            if not longest or alike(longest, before):
                continue
            if name:
                self._paths[server][name] = replace(self._paths[server][name], lately_ms=longest)
            else:
                self._peers[server] = replace(self._peers[server], lately_ms=longest)

    def _all(self) -> list[GapReport]:
        return [*self._peers.values(), *(gaps for paths in self._paths.values() for gaps in paths.values())]

    def _plain(self, told: list[Any]) -> GapReport | None:
        """Of what is not charted."""
        found = self._report(told)
        return replace(found, lately_ms=0.0) if found is not None else None

    def _report(self, told: list[Any]) -> GapReport | None:
        figures = Figures(*told)
        if figures.beats < _ENOUGH:
            return None
        return GapReport(
            p50_ms=figures.p50_ms, p99_ms=figures.p99_ms, p999_ms=figures.p999_ms, worst_ms=figures.worst_ms,
            worst_at=round(figures.worst_at + self._offset, 3) if figures.worst_at else 0.0,
            since=round(figures.since + self._offset), ever_ms=figures.ever_ms, cuts=figures.cuts,
            cut_ms=figures.cut_ms, lately_ms=figures.lately_ms,
        )  # fmt: skip
