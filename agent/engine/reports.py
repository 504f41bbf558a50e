"""Reports: build our own, hand it to everybody alive until they have it, keep the newest of the others.

Rules of this file
- What decisions need goes at once to those who decide: the coordinator, and who proposes a view. All others show it
  only, and get it with all that has changed within a moment: with 32 servers each change is 31 messages, and a new view
  changes every report twice, just when a group needs the time to start. That a partition resolver is reached or not
  concerns everybody: it is told at once.
- What is heard (paths, silences) is gathered likewise and told as changes, since it grows with the number of servers.
- What is not acknowledged is repeated; the more servers there are, the more slowly: who is late shall not be buried.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from agent.engine.core import NEVER, Core
from agent.engine.effects import Publish
from agent.engine.fencing import Fencing
from agent.engine.groups import LocalGroups
from agent.engine.hearing import Hearing, known_sides
from agent.engine.membership import Membership
from agent.engine.recovery import Recovery
from agent.engine.view import MANY
from agent.wire.mirror import MirrorState
from agent.wire.peer import HearingPush, ReportAck, ReportPush
from agent.wire.report import GapReport, HealthReport, PathReport, Report, ResponseReport

if TYPE_CHECKING:
    from agent.engine.drills import Drills
    from agent.engine.switching import Switching

_GATHER_S = 0.1


class _Heard(NamedTuple):
    """What a peer hears, as far as it has told."""

    incarnation: int = 0
    number: int = 0
    paths: dict[str, dict[str, PathReport]] = {}
    hears: dict[str, GapReport] = {}
    health: HealthReport = HealthReport()
    responses: dict[str, ResponseReport] = {}
    mirrors: dict[str, MirrorState | None] = {}


class _Told:
    """What a peer has of us, by its own word, and what was sent to it last."""

    __slots__ = ("heard", "sent", "sent_heard", "seq")

    def __init__(self) -> None:
        self.seq = self.heard = self.sent = self.sent_heard = -1


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
        self.version = 0  # of `known`, but for what is heard
        self.hearing = Hearing(core, membership)
        self.resend_at = NEVER
        self.seq = 0  # of whatever we told last
        self.suspended = False
        membership.partition.others_reach = self._others_reach
        self.table_version = 0
        self.switching: Switching | None = None  # set by the engine
        self.drills: Drills | None = None  # likewise
        self.own = Report(server=core.me, incarnation=core.incarnation, seq=0, service="stopped")
        self.bare = self.own  # without what is heard, as it is sent
        self._heard: dict[str, _Heard] = {}
        self._told: dict[str, _Told] = {}
        self._gather_s = _GATHER_S * max(1.0, len(core.cluster.servers) / MANY)
        self._hearing_at = NEVER  # when what is heard is told
        self._due: dict[str, float] = {}  # peer that lacks something -> when it is told (again)

    # Our own --------------------------------------------------------------------------------------------------------

    def refresh(self, promised_to: str = "") -> None:
        """Rebuild the own report when something changed, and push it. `promised_to` gets it with our promise."""
        if self.hearing.fresh and self._hearing_at == NEVER:
            self._hearing_at = self.core.now + self._gather_s
            self.resend_at = min(self.resend_at, self._hearing_at)
        if not self.core.report_dirty:
            return
        self.core.report_dirty = False
        before, built = self.bare, self._built()
        if built == before and self.seq:
            return
        self.seq += 1
        self.core.save_dirty = True
        self.bare = replace(built, seq=self.seq)
        self._publish()
        self.version += 1
        if promised_to:
            self._of(promised_to).sent = self.seq
        everybody = self.bare.resolvers != before.resolvers
        self._plan(self.membership.peers if everybody else self._deciding())
        self._push()

    def _built(self) -> Report:
        view = self.membership.view
        return Report(
            server=self.core.me,
            incarnation=self.core.incarnation,
            seq=self.bare.seq,
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
            resolvers=dict(self.membership.partition.reached),
            resolving=self.membership.partition.resolving(),
            votes=self.membership.partition.votes(view.epoch, view.members) if self.membership.coordinates else None,
            acts=self.membership.lease_held and not self.membership.partition.cut_off,
            lost=tuple(n for n, p in self.membership.peers.items() if p.lost),
            detail=self._detail(),
            leave_note=self.membership.leave_note if self.membership.service == "leaving" else "",
            fences=dict(self.fencing.results),
            watchdog=self.fencing.watchdog,
            watchdog_detail=self.fencing.watchdog_detail,
            armed=self.fencing.armed,
            config=self.core.config,
            drill=self.drills.running if self.drills is not None else None,
            **self._of_switch(),
        )

    def _of_switch(self) -> dict[str, Any]:
        switching = self.switching
        if switching is None:
            return {}
        stored = switching.stored.config if switching.stored is not None else ""
        return {"stored": stored, "switch": switching.switch, "frozen": self.membership.frozen}

    def _publish(self) -> None:
        hearing = self.hearing
        self.own = replace(self.bare, paths=hearing.told_paths, hears=hearing.told_hears, health=hearing.told_health,
                           responses=hearing.told_responses, mirrors=hearing.sides, heard=hearing.number)  # fmt: skip
        self.known[self.core.me] = (self.own, self.core.now)
        self.core.emit(Publish(report=self.own))

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

    # Telling --------------------------------------------------------------------------------------------------------

    def _deciding(self) -> tuple[str, str]:
        """Who gives us orders, and to whom we have promised to obey."""
        names = (*self.core.cluster.server_names, "")  # "": what was promised before a restart may be anybody's.
        return self.membership.view.coordinator, names[self.membership.promised.proposer]

    def _plan(self, at_once: Collection[str]) -> None:
        now, soon = self.core.now, self.core.now + self._gather_s
        for name, peer in self.membership.peers.items():
            if peer.alive:
                self._due[name] = min(self._due.get(name, NEVER), now if name in at_once else soon)
        self.resend_at = min(self._hearing_at, *self._due.values(), NEVER)

    def resend(self) -> None:
        if self.core.now < self.resend_at:
            return
        if self.core.now >= self._hearing_at:
            self._hearing_at = NEVER
            self.seq += 1
            self.hearing.tell(self.seq)
            self.core.save_dirty = True
            self._publish()
            self._plan(self.membership.peers)
        self._push()

    def _push(self) -> None:
        number = self.hearing.number
        lack: list[str] = []
        lack_heard: dict[int, list[str]] = {}  # by what they have
        for peer in [name for name, at in self._due.items() if at <= self.core.now]:
            told = self._of(peer)
            if not self.membership.peers[peer].alive or self._has_all(told):
                del self._due[peer]
                continue
            again = told.sent >= self.bare.seq and told.sent_heard >= number
            if told.seq < self.bare.seq and (again or told.sent < self.bare.seq):
                lack.append(peer)
            if told.heard < number and (again or told.sent_heard < number):
                lack_heard.setdefault(max(told.heard, 0), []).append(peer)
            told.sent, told.sent_heard = self.bare.seq, number
            self._due[peer] = self.core.now + self.membership.resend_s
        self.core.send_all(lack, ReportPush(report=self.bare))
        for since, peers in lack_heard.items():
            self.core.send_all(peers, self.hearing.since(since, self.core.incarnation))
        self.resend_at = min(self._hearing_at, *self._due.values(), NEVER)

    def _of(self, peer: str) -> _Told:
        return self._told.setdefault(peer, _Told())

    def _has_all(self, told: _Told) -> bool:
        return told.seq >= self.bare.seq and told.heard >= self.hearing.number

    def peer_changed(self, server: str) -> None:
        """A peer came back or restarted: it may have forgotten what it acknowledged."""
        self._told.pop(server, None)
        self._due[server] = self.core.now
        self.resend_at = min(self.resend_at, self.core.now)

    def acknowledged(self, sender: str, message: ReportAck) -> None:
        if message.incarnation == self.core.incarnation:
            told = self._of(sender)
            told.seq, told.heard = message.seq, message.heard
            if self._has_all(told) and self._due.pop(sender, None) is not None and not self._due:
                self.resend_at = self._hearing_at

    # Those of others ------------------------------------------------------------------------------------------------

    def take(self, sender: str, report: Report) -> bool:
        """Keep a peer's report about itself; True when it is news."""
        if report.server != sender:
            return False
        known = self.known.get(sender)
        if known is not None and (known[0].incarnation, known[0].seq) >= (report.incarnation, report.seq):
            return False
        self.known[sender] = (self._completed(report), self.core.now)
        self.version += 1
        self.membership.seen = max(self.membership.seen, report.promised)
        return True

    def _completed(self, report: Report) -> Report:
        """With what its server hears."""
        heard = self._heard.get(report.server)
        if heard is None or heard.incarnation != report.incarnation:
            return report
        return replace(report, paths=heard.paths, hears=heard.hears, health=heard.health, responses=heard.responses,
                       mirrors=known_sides(heard.mirrors), heard=heard.number)  # fmt: skip

    def _take_heard(self, sender: str, message: HearingPush) -> None:
        before = self._heard.get(sender, _Heard())
        if message.incarnation > before.incarnation:
            before = _Heard(message.incarnation)
        if message.incarnation < before.incarnation or not message.since <= before.number < message.number:
            return  # What we lack in between comes again: our answer says how far we are.
        self._heard[sender] = _Heard(
            message.incarnation, message.number, {**before.paths, **message.paths}, {**before.hears, **message.hears},
            message.health, {**before.responses, **message.responses}, {**before.mirrors, **message.mirrors},
        )  # fmt: skip
        if sender in self.known:
            self.known[sender] = (self._completed(self.known[sender][0]), self.core.now)

    def keep(self, sender: str, message: ReportPush | HearingPush) -> ReportAck:
        """Returns what to answer: how much we have of this server now."""
        if isinstance(message, ReportPush):
            self.take(sender, message.report)
            incarnation = message.report.incarnation
        else:
            self._take_heard(sender, message)
            incarnation = message.incarnation
        report, heard = self.of(sender), self._heard.get(sender)
        return ReportAck(
            incarnation=incarnation,
            seq=report.seq if report is not None and report.incarnation == incarnation else -1,
            heard=heard.number if heard is not None and heard.incarnation == incarnation else 0,
        )

    def pushed(self, sender: str, message: ReportPush | HearingPush) -> None:
        self.core.send(sender, self.keep(sender, message))

    def of(self, server: str) -> Report | None:
        known = self.known.get(server)
        return known[0] if known else None
