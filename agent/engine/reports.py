"""Reports: build our own, hand it to everybody alive until they have it, keep the newest of the others."""

from __future__ import annotations

from agent.engine.core import NEVER, Core
from agent.engine.effects import Publish
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership
from agent.engine.recovery import Recovery
from agent.wire.peer import ReportAck, ReportPush
from agent.wire.report import PathReport, Report


class Reports:
    """`known` maps server -> (newest report, when it came)."""

    def __init__(self, core: Core, membership: Membership, groups: LocalGroups, recovery: Recovery) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self.recovery = recovery
        self.known: dict[str, tuple[Report, float]] = {}
        self.paths: dict[str, dict[str, PathReport]] = {}
        self.acked: dict[str, int] = {}
        self.resend_at = NEVER
        self.seq = 0
        self.suspended = False
        self.table_version = 0
        self.own = Report(server=core.me, incarnation=core.incarnation, seq=0, service="stopped")

    def refresh(self) -> None:
        """Rebuild the own report when something changed, and push it."""
        if not self.core.report_dirty:
            return
        self.core.report_dirty = False
        self.seq += 1
        view = self.membership.view
        self.own = Report(
            server=self.core.me,
            incarnation=self.core.incarnation,
            seq=self.seq,
            service=self.membership.service,
            promised=self.membership.promised,
            epoch=view.epoch,
            members=view.members,
            coordinator=view.coordinator,
            suspended=self.suspended,
            table=self.table_version,
            groups=self.groups.group_reports(),
            resources=self.groups.resource_reports(),
            monitors=self.recovery.reports(),
            paths={peer: dict(paths) for peer, paths in self.paths.items()},
            lost=tuple(n for n, p in self.membership.peers.items() if p.lost),
            detail=self._detail(),
            leave_note=self.membership.leave_note if self.membership.service == "leaving" else "",
        )
        self.known[self.core.me] = (self.own, self.core.now)
        self.core.emit(Publish(report=self.own))
        self._push()

    def _detail(self) -> str:
        """Why this server does nothing though its service runs."""
        here, all_servers = len(self.membership.alive()), len(self.core.cluster.servers)
        if not self.core.cluster.majority or self.membership.service != "online" or here * 2 > all_servers:
            return ""
        return f"No majority: {here} of {all_servers} servers are here. Groups run again when more servers are back."

    def _push(self) -> None:
        behind = [n for n, p in self.membership.peers.items() if p.alive and self.acked.get(n, -1) < self.seq]
        for peer in behind:
            self.core.send(peer, ReportPush(report=self.own))
        self.resend_at = self.core.now + self.membership.resend_s if behind else NEVER

    def resend(self) -> None:
        if self.core.now >= self.resend_at:
            self._push()

    def peer_changed(self, server: str) -> None:
        """A peer came back or restarted: it may have forgotten what it acknowledged."""
        self.acked.pop(server, None)
        self.resend_at = min(self.resend_at, self.core.now)

    def take(self, sender: str, report: Report) -> bool:
        """Keep a peer's report about itself; True when it is news."""
        if report.server != sender:
            return False
        known = self.known.get(sender)
        if known is not None and (known[0].incarnation, known[0].seq) >= (report.incarnation, report.seq):
            return False
        self.known[sender] = (report, self.core.now)
        self.membership.seen = max(self.membership.seen, report.promised)
        return True

    def pushed(self, sender: str, report: Report) -> bool:
        news = self.take(sender, report)
        if report.server == sender:
            self.core.send(sender, ReportAck(incarnation=report.incarnation, seq=report.seq))
        return news

    def acknowledged(self, sender: str, message: ReportAck) -> None:
        if message.incarnation == self.core.incarnation:
            self.acked[sender] = max(self.acked.get(sender, -1), message.seq)

    def of(self, server: str) -> Report | None:
        known = self.known.get(server)
        return known[0] if known else None

    def path_changed(self, server: str, heartbeat: str, ok: bool, worst_gap_ms: float) -> str:
        """Returns the note. None while a server that was never heard has not come up yet: it says nothing new."""
        paths = self.paths.setdefault(server, {})
        before = paths.get(heartbeat)
        paths[heartbeat] = PathReport(state="Normal" if ok else "Error", worst_gap_ms=worst_gap_ms)
        self.core.touch()
        if not ok and before is None and not self.membership.peers[server].alive:
            return ""
        return self.core.note("nm", 3 if ok else 4, "heartbeat", heartbeat, heartbeat, server)
