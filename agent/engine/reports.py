"""Reports: build our own, hand it to everybody alive until they have it, keep the newest of the others."""

from __future__ import annotations

from agent.engine.core import NEVER, Core
from agent.engine.effects import Publish
from agent.engine.fencing import Fencing
from agent.engine.groups import LocalGroups
from agent.engine.hearing import Hearing
from agent.engine.membership import Membership
from agent.engine.recovery import Recovery
from agent.wire.peer import ReportAck, ReportPush
from agent.wire.report import Report


class Reports:
    """`known` maps server -> (newest report, when it came)."""

    def __init__(
        self, core: Core, membership: Membership, groups: LocalGroups, recovery: Recovery, fencing: Fencing
    ) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self.recovery = recovery
        self.fencing = fencing
        self.known: dict[str, tuple[Report, float]] = {}
        self.version = 0  # of `known`
        self.hearing = Hearing(core, membership)
        self.acked: dict[str, int] = {}
        self.resend_at = NEVER
        self.seq = 0
        self.suspended = False
        membership.partition.others_reach = self._others_reach
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
            paths={peer: dict(paths) for peer, paths in self.hearing.paths.items()},
            hears=self.hearing.peers,
            health=self.hearing.health,
            resolvers=dict(self.membership.partition.reached),
            lost=tuple(n for n, p in self.membership.peers.items() if p.lost),
            detail=self._detail(),
            leave_note=self.membership.leave_note if self.membership.service == "leaving" else "",
            fences=dict(self.fencing.results),
            watchdog=self.fencing.watchdog,
            watchdog_detail=self.fencing.watchdog_detail,
            armed=self.fencing.armed,
        )
        self.known[self.core.me] = (self.own, self.core.now)
        self.version += 1
        self.core.emit(Publish(report=self.own))
        self._push()

    def _detail(self) -> str:
        """Why this server does nothing though its service runs."""
        if fencing := self.fencing.detail():
            return fencing
        if self.membership.partition.cut_off:
            return "This server is cut off: it reaches no ping target. Its groups run again when it is back."
        if not self.core.cluster.majority or self.membership.service != "online":
            return ""
        here = self.membership.alive()
        lacking = self.membership.partition.hopeful(here) or self.membership.lacking
        if not lacking:
            return ""
        if self.core.cluster.arbiters:
            return f"Not enough votes: more than half of {', '.join(lacking)} must agree; here: {', '.join(here)}."
        count = len(self.core.cluster.servers)
        return f"No majority: {len(here)} of {count} servers are here. Groups run again when more servers are back."

    def _others_reach(self, resolver: str) -> bool:
        members = (self.of(m) for m in self.membership.view.members if m != self.core.me)
        return any(report.resolvers.get(resolver, False) for report in members if report is not None)

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
        self.version += 1
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
