"""Gathers what the heartbeat child measures and hands it to the engine: seldom, or at once when it is alarming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.daemon.heartbeat_lan import steady
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
        self._due = 0.0
        self._told: Measured | None = None
        self._alarming: set[float] = set()  # times of gaps near the timeout

    def take(self, message: dict[str, Any]) -> None:
        """A "gaps" or "health" message of the child."""
        if message["type"] == "health":
            late, lease, daemon = (self._report(message[key]) for key in ("late", "lease", "daemon"))
            self._health = HealthReport(late=late, lease=lease, daemon=daemon)
        else:
            server = message["server"]
            paths = {name: self._report(figures) for name, figures in message["paths"].items()}
            self._paths[server] = {name: gaps for name, gaps in paths.items() if gaps is not None}
            if (gaps := self._report(message["all"])) is not None:
                self._peers[server] = gaps
        self._tell()

    def _tell(self) -> None:
        now = self._now()
        alarming = {gaps.worst_at for gaps in self._all() if gaps.worst_ms >= self._near_ms}
        measured = Measured(paths=dict(self._paths), peers=dict(self._peers), health=self._health)
        news = alarming - self._alarming
        if measured == self._told or not (self._peers and (news or now >= self._due)):
            return
        self._told, self._alarming, self._due = measured, alarming, now + self._every_s
        self._feed(measured)

    def _all(self) -> list[GapReport]:
        return [*self._peers.values(), *(gaps for paths in self._paths.values() for gaps in paths.values())]

    def _report(self, told: list[Any]) -> GapReport | None:
        figures = Figures(*told)
        if figures.beats < _ENOUGH:
            return None
        return GapReport(
            p50_ms=figures.p50_ms, p99_ms=figures.p99_ms, p999_ms=figures.p999_ms, worst_ms=figures.worst_ms,
            worst_at=round(figures.worst_at + self._offset, 3) if figures.worst_at else 0.0,
            since=round(figures.since + self._offset), ever_ms=figures.ever_ms, cuts=figures.cuts,
            cut_ms=figures.cut_ms,
        )  # fmt: skip
