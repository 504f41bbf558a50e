"""What this server measures: how it hears the others, whether it trusts its own ears, how fast its monitors answer,
how its mirror disks are.

Rules of this file
- A new longest silence of today that comes near the timeout is told, once an hour for each path and each peer.
- That this server suspects itself is told once a minute at most, and stands in its report for that minute.
- Figures decide nothing: they are for the administrator who chooses the timeout. So they are told a moment later than
  what decides (reports.py), and only what has changed.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.engine.core import NEVER, Core
from agent.engine.events import Measured, PathChanged, Responded, Starved
from agent.engine.membership import Membership
from agent.wire.mirror import MirrorState
from agent.wire.peer import HearingPush
from agent.wire.report import GapReport, HealthReport, PathReport, ResponseReport

NEAR = 0.7  # of the timeout
_WARNINGS_S = 3600.0
_SUSPECTS_S = 60.0


def known_sides(mirrors: Mapping[str, MirrorState | None]) -> dict[str, MirrorState]:
    return {name: state for name, state in mirrors.items() if state is not None}


class Hearing:
    """`paths`, `peers` and `health` are as they are now; `told_*` is what the own report says of them."""

    def __init__(self, core: Core, membership: Membership) -> None:
        self.core = core
        self.membership = membership
        self.paths: dict[str, dict[str, PathReport]] = {}
        self.peers: dict[str, GapReport] = {}
        self.trusts_at = NEVER  # when it stops saying that it suspects itself
        self._measured = HealthReport()
        self.fresh = False  # something has changed since it was told
        self.number = 0  # of the newest change that was told
        self.told_paths: dict[str, dict[str, PathReport]] = {}
        self.told_hears: dict[str, GapReport] = {}
        self.told_health = HealthReport()
        self.responses: dict[str, ResponseReport] = {}
        self.told_responses: dict[str, ResponseReport] = {}
        self.mirrors: dict[str, MirrorState | None] = {}
        self.told_mirrors: dict[str, MirrorState | None] = {}
        self._mirrored_at: dict[str, int] = {}  # mirror -> number of the change that told it
        self._changed_at: dict[str, int] = {}  # peer -> number of the change that told it
        self._responded_at: dict[str, int] = {}  # monitor -> the same
        self._warned: dict[tuple[str, str], tuple[float, float]] = {}  # (peer, path) -> (when, that silence's time)

    @property
    def health(self) -> HealthReport:
        measured = self._measured
        return HealthReport(
            suspects=self.trusts_at < NEVER, late=measured.late, lease=measured.lease, daemon=measured.daemon
        )

    def tell(self, number: int) -> None:
        """What has changed is told from now on, as this number."""
        for peer in self.paths.keys() | self.peers.keys():
            before = self.told_paths.get(peer), self.told_hears.get(peer)
            if before != (self.paths.get(peer), self.peers.get(peer)):
                self._changed_at[peer] = number
        for monitor, figures in self.responses.items():
            if self.told_responses.get(monitor) is not figures:
                self._responded_at[monitor] = number
        for mirror, state in self.mirrors.items():
            if self.told_mirrors.get(mirror) is not state:
                self._mirrored_at[mirror] = number
        self.told_responses, self.told_mirrors = dict(self.responses), dict(self.mirrors)
        self.number, self.fresh = number, False
        self.told_paths, self.told_hears, self.told_health = dict(self.paths), self.peers, self.health

    def since(self, number: int, incarnation: int) -> HearingPush:
        """What was told after that number."""
        new = [peer for peer, at in self._changed_at.items() if at > number]
        return HearingPush(
            incarnation=incarnation, number=self.number, since=number,
            paths={peer: self.told_paths[peer] for peer in new if peer in self.told_paths},
            hears={peer: self.told_hears[peer] for peer in new if peer in self.told_hears},
            health=self.told_health,
            responses={name: self.told_responses[name] for name, at in self._responded_at.items() if at > number},
            mirrors={name: self.told_mirrors[name] for name, at in self._mirrored_at.items() if at > number},
        )  # fmt: skip

    def path_changed(self, event: PathChanged) -> str:
        """Returns the note. None while a server that was never heard has not come up yet: it says nothing new."""
        paths = self.paths.get(event.server, {})
        before = paths.get(event.heartbeat)
        now = PathReport(
            state="Normal" if event.ok else "Error",
            worst_gap_ms=event.worst_gap_ms,
            gaps=before.gaps if before else None,
        )
        self.paths[event.server] = {**paths, event.heartbeat: now}
        self.fresh = True
        if not event.ok and before is None and not self.membership.peers[event.server].alive:
            return ""
        number = 3 if event.ok else 4
        return self.core.note("nm", number, "heartbeat", event.heartbeat, event.heartbeat, event.server)

    def measured(self, event: Measured) -> None:
        before = self.paths, self.peers, self._measured
        self.peers = {peer: gaps for peer, gaps in event.peers.items() if peer in self.membership.peers}
        self._measured = event.health
        self.paths = {
            peer: {
                name: PathReport(state=path.state, worst_gap_ms=path.worst_gap_ms, gaps=gaps)
                if (gaps := event.paths.get(peer, {}).get(name))
                else path
                for name, path in paths.items()
            }
            for peer, paths in self.paths.items()
        }
        self.fresh = self.fresh or before != (self.paths, self.peers, self._measured)
        self._warn()

    def responded(self, event: Responded) -> None:
        self.responses |= event.responses
        self.mirrors |= event.mirrors
        self.fresh = True

    @property
    def sides(self) -> dict[str, MirrorState]:
        """Of the mirror disks here, as told."""
        return known_sides(self.told_mirrors)

    def _warn(self) -> None:
        for peer, gaps in self.peers.items():
            if words := self._near(peer, "", gaps):
                self.core.note("cp", 91, "server", peer, peer, words, rule="gap-warning")
        for peer, paths in self.paths.items():
            for name, path in paths.items():
                if path.gaps is not None and (words := self._near(peer, name, path.gaps)):
                    self.core.note("cp", 90, "heartbeat", name, name, peer, words, rule="gap-warning")

    def _near(self, peer: str, path: str, gaps: GapReport) -> str:
        """The silence in words when it is worth a warning, else ""."""
        timeout_ms = self.core.cluster.timeout_s * 1000
        told_at, told = self._warned.get((peer, path), (-NEVER, 0.0))
        if gaps.worst_ms < NEAR * timeout_ms or gaps.worst_at <= told or self.core.now < told_at + _WARNINGS_S:
            return ""
        self._warned[peer, path] = (self.core.now, gaps.worst_at)
        return f"{gaps.worst_ms:.0f} ms, {100 * gaps.worst_ms / timeout_ms:.0f} %"

    def starved(self, event: Starved) -> str:
        """Returns the note, "" when it was said a moment ago."""
        if self.trusts_at < NEVER:
            return ""
        me = self.core.me
        self.trusts_at = self.core.now + _SUSPECTS_S
        self.fresh = True
        return self.core.note("cp", 92, "server", me, me, f"{event.late_s:.2f}", f"{event.extra_s:.2f}",
                              rule="self-suspicion")  # fmt: skip

    def expire(self) -> None:
        if self.core.now >= self.trusts_at:
            self.trusts_at = NEVER
            self.fresh = True
