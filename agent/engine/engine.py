"""The mind of one server: events in, effects out.

The same object runs in the daemon and in the simulator. It has no clock, no randomness and does no I/O. `handle`
takes what happened and when; it returns what shall be done, in order. `next_deadline` says when it wants to be woken.

Parts: membership (views), groups (what runs here), recovery (monitors), reports (who says what), coordinator (where
groups shall be), operations (what operators ask for). This file routes events to them and keeps the rules that
concern the whole server:
- evicted: a peer has installed a newer view than we have promised (eviction.py).
- lease lost (majority configurations): stop all groups now.
- stalled: nothing that we knew is true any more; listen for one timeout, announce nothing, decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from agent.clpconf.model import Cluster
from agent.engine.coordinator import Coordinator
from agent.engine.core import NEVER, Core
from agent.engine.drills import Drills
from agent.engine.durable import Durable
from agent.engine.effects import Effect, Prepare, Save
from agent.engine.events import (
    ActionDone,
    ArbiterAnswer,
    Asked,
    ConfigurationStored,
    DeafPeer,
    Event,
    FenceDone,
    FencesKnown,
    LeaseHeld,
    LeaseLost,
    Measured,
    MonitorResult,
    PathChanged,
    PeerHeard,
    PeerLost,
    PeerSuspected,
    Received,
    ResolverState,
    Responded,
    ScriptDone,
    Stalled,
    Started,
    Starved,
    SwitchFailed,
    Tick,
    WatchdogState,
)
from agent.engine.eviction import Eviction
from agent.engine.fence_requests import LOCAL_OPS, LocalFenceRequests
from agent.engine.fencing import Fencing
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership
from agent.engine.operations import Operations
from agent.engine.partition import Partition
from agent.engine.partition_action import PartitionAction, force_quorum
from agent.engine.recovery import Recovery
from agent.engine.reports import Reports
from agent.engine.stopping import Stopping
from agent.engine.switching import Switching
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import (
    Answer,
    Halt,
    HearingPush,
    Install,
    Order,
    Promise,
    Propose,
    Reject,
    ReportAck,
    ReportPush,
    Request,
    Table,
    TableUpdate,
)
from agent.wire.report import Note, Report

_WAITS = ("proposal", "arbiter", "reports", "self-suspicion", "orders", "requests", "fencing", "evicted")


class Engine:
    """`saved`: what an earlier daemon wrote by Save. Its "local" part counts only within the same boot of the
    server (the shell drops it else). Then "promised" is exact; after a boot only what is "durable" counts."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        incarnation: int,
        saved: Mapping[str, Any] | None = None,
        defaults: Mapping[str, tuple[str, ...]] | None = None,
        config: str = "",
    ) -> None:
        saved = saved or {}
        self.core = Core(cluster, me, incarnation, int(saved.get("note_seq", 0)), config)
        durable = msgspec.convert(saved.get("durable", {}), Durable)
        promised = Epoch(*saved.get("promised", NO_EPOCH))
        if "local" not in saved:
            promised = max(promised, Epoch(durable.ceiling, len(cluster.servers)))  # Above whoever proposed it.
        self.partition = Partition(self.core, durable.ballots)
        self.membership = Membership(self.core, self.partition, promised, durable.ceiling)
        self.core.may_start = self._may_start
        self.groups = LocalGroups(self.core, defaults or {}, durable.reboots)
        self.groups.final.alone = self._alone
        self.recovery = Recovery(self.core, self.groups)
        self._partition_action = PartitionAction(self.core, self.membership, self.groups)
        self.fencing = Fencing(self.core, self.membership)
        self._fence_requests = LocalFenceRequests(self.core, self.fencing)
        self._reports = Reports(self.core, self.membership, self.groups, self.recovery, self.fencing)
        # Goes on within an incarnation: peers take a lower one for an old report.
        self._reports.seq = int(saved.get("report_seq", 0))
        self.coordinator = Coordinator(self.core, self.membership, self._reports, self.fencing)
        self.switching = Switching(self.core, self.membership, self.groups, self.coordinator, self._reports)
        self._reports.switching = self.switching
        self._reports.drills = self.drills = Drills(self.core, self.recovery)
        self.operations = Operations(self.core, self.membership, self._reports, self.coordinator, self.switching)
        self._saved: Mapping[str, Any] = saved
        self._eviction = Eviction(self.core, self.membership, self.groups)
        self.stopping = Stopping(self.core, self.membership, self.groups, self.coordinator, self.operations)

    # What the shell reads ------------------------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        return self._reports.own

    @property
    def reports(self) -> Mapping[str, tuple[Report, float]]:
        """Server -> (its newest report, engine time when it came)."""
        return self._reports.known

    @property
    def table(self) -> Table:
        return self.coordinator.table

    @property
    def notes(self) -> list[Note]:
        return list(self.core.notes)

    def next_deadline(self) -> float:
        return min(*self._waits(), *self.core.timers.values())

    def deadlines(self) -> dict[str, float]:
        """What the engine waits for, by name."""
        return {**self.core.timers, **dict(zip(_WAITS, self._waits(), strict=True))}

    def _waits(self) -> tuple[float, ...]:
        return (
            self.membership.deadline(),
            self.partition.deadline(),
            self._reports.resend_at,
            self._reports.hearing.trusts_at,
            self.coordinator.orders.resend_at if self.membership.coordinates else NEVER,
            self.operations.resend_at,
            self.fencing.deadline(),
            self._eviction.at,
        )

    # The step -----------------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Effect]:
        """One event at `now` (steady seconds); the effects are to be carried out in their order."""
        core = self.core
        core.now = max(core.now, now)  # The clock of the shell is steady; a step back would only confuse timers.
        core.effects = []
        cause = self._dispatch(event)
        if self._tells_nothing(event):
            return core.effects
        self._run_timers()
        self._follow(cause)
        self._save()
        return core.effects

    def _tells_nothing(self, event: Event) -> bool:
        """An acknowledgement, or a monitor that finds what it found before, and no timer is due: most events."""
        told = event.message if isinstance(event, Received) else event
        quiet = isinstance(told, ReportAck | MonitorResult) and not (self.core.effects or self.core.report_dirty)
        return quiet and self.next_deadline() > self.core.now

    def _dispatch(self, event: Event) -> str:
        """Returns the note of the evidence, where it left one."""
        membership = self.membership
        match event:
            case Tick():
                return ""
            case Received():
                return self._received(event)
            case ActionDone():
                self.groups.action_done(event.token, event.ok, event.detail, stalled=event.stalled)
            case ScriptDone():
                self.recovery.script_done(event.token, event.ok, event.detail)
            case MonitorResult():
                self.recovery.result(event.monitor, event.ok, event.detail, event.elapsed_ms, event.warning,
                                     timed_out=event.timed_out)  # fmt: skip
            case PeerHeard():
                return self._heard(event)
            case PeerLost():
                return membership.lost(event.server, event.silence_s, event.promised)
            case PeerSuspected():
                membership.suspected(event.server, event.silence_s)
                self._prepare(event.server)
            case PathChanged():
                return self._reports.hearing.path_changed(event)
            case DeafPeer():
                return membership.deaf(event.server, event.silence_s)
            case LeaseLost():
                return self._lease_lost(event.silence_s)
            case LeaseHeld():
                self.membership.lease_held = True
                self.groups.resume()
                return self.core.note("cp", 8, "server", self.core.me, self.core.me) if membership.in_view else ""
            case Stalled():
                return self._stalled(event.gap_s)
            case Starved():
                return self._reports.hearing.starved(event)
            case Measured():
                self._reports.hearing.measured(event)
            case Responded():
                self._reports.hearing.responded(event)
            case Asked():
                self._asked(event.request)
            case Started():
                self._started(event)
            case FenceDone():
                return self.fencing.done(event) or self._fence_requests.done(event)
            case FencesKnown():
                self.fencing.known(event)
            case WatchdogState():
                return self.fencing.watchdog_state(event)
            case ResolverState():
                return self.partition.resolver(event)
            case ArbiterAnswer():
                self.membership.seen = max(self.membership.seen, event.promised)
                return self.partition.answered(event)
            case ConfigurationStored():
                self.switching.took(event)
            case SwitchFailed():
                return self.switching.failed(event)
            case _:
                assert_never(event)
        return ""

    def _heard(self, event: PeerHeard) -> str:
        peer = self.membership.peers[event.server]
        reborn = event.incarnation != peer.incarnation
        if reborn or not peer.alive or event.epoch < peer.epoch:  # Fallen back: its daemon was restarted.
            self._reports.peer_changed(event.server)
        note = self.membership.heard(event.server, event.incarnation, event.epoch, event.service, event.config)
        self.fencing.heard(event.server, note, reborn=reborn)
        return note

    def _received(self, event: Received) -> str:
        sender, message = event.sender, event.message
        if sender not in self.membership.peers:
            return ""
        match message:
            case ReportPush() | HearingPush():
                self._reports.pushed(sender, message)
            case ReportAck():
                self._reports.acknowledged(sender, message)
            case Propose():
                if self.membership.proposed(sender, message):
                    self._reports.refresh(promised_to=sender)
                    promise = Promise(epoch=message.epoch, report=self._reports.bare, table=self.table,
                                      silent_s=self.membership.silent_s(),
                                      ballots=self.partition.ballots.known,
                                      **self.membership.departed.told())  # fmt: skip
                    self.core.send(sender, promise)
            case Promise():
                self._reports.take(sender, message.report)
                self.membership.promised_by(sender, message)
                self._complete()
            case Reject():
                self.membership.rejected(message)
            case Install():
                self._installed(sender, message)
            case TableUpdate():
                if message.table.epoch == self.membership.view.epoch and sender == self.membership.view.coordinator:
                    self._take_table(message.table)
            case Order():
                if self._binding(sender, message.epoch):
                    self._obey(message)
            case Halt():
                if self._binding(sender, message.epoch):
                    self.stopping.halt(message.how, message.cause)
            case Request() if message.op == "server_start" and message.target == self.core.me:
                self.core.send(sender, self._start_service(message))
            case Request():
                self.operations.requested(sender, message)
            case Answer():
                self.operations.answered(message)
            case _:
                assert_never(message)
        return ""

    def _binding(self, sender: str, epoch: Epoch) -> bool:
        """Orders count only from the coordinator of the installed view, while nothing newer has been promised."""
        membership = self.membership
        return membership.in_view and epoch == membership.view.epoch and sender == membership.view.coordinator

    def _obey(self, order: Order) -> None:
        # Nothing starts without a lease, nor by an order that may have waited while we slept; the coordinator repeats
        # it until it is obeyed.
        if order.action != "start" or (self._may_start() and self.core.now >= self.membership.listen_until):
            self.groups.obey(order)

    def _may_start(self) -> bool:
        return self.membership.lease_held and not self.partition.cut_off and not self.switching.leaving

    def _follow(self, cause: str) -> None:
        """What the event leads to, until nothing more follows."""
        for _ in range(8):
            self.stopping.leave_when_empty()
            self.recovery.wish(self.coordinator.table.monitors)
            self.drills.advance()
            self.recovery.align(self.membership.in_view or self.groups.holding())
            self._reports.refresh()
            self.membership.voice.holding = self.groups.holding()
            self.switching.advance()
            if not self.stopping.members_stop():
                self.membership.reconsider(cause, self._reports.bare, self.table)
            self._complete()
            self._partition_action.advance(cause or self.membership.evidence)
            self.fencing.forget(self.membership.promised_members)
            if self.membership.coordinates:
                self.operations.switch.advance()
                self.coordinator.drive((cause or self.membership.view_note,))
                self.stopping.close_when_empty()
            self.fencing.advance(coordinates=self.membership.coordinates)
            table = self.coordinator.table
            if (table.suspended, table.disarmed) != (self._reports.suspended, not self.fencing.armed):
                self._use_table()
            orders, self.coordinator.orders.to_me = self.coordinator.orders.to_me, []
            for order in orders:
                self._obey(order)
            self._eviction.watch()
            self.membership.voice.speak()
            self.operations.settle()
            if not orders and not self.core.report_dirty:
                return

    def _run_timers(self) -> None:
        for name in [n for n, at in self.core.timers.items() if at <= self.core.now]:
            del self.core.timers[name]
            if name == "ceiling":
                self.membership.raise_ceiling()
            elif name.startswith("script "):
                self.recovery.script_late(name.removeprefix("script "))
            elif name.startswith("drill"):
                self.drills.timed_out(name)
        self.groups.due()
        self.membership.resend()
        self.partition.advance()
        self._reports.resend()
        self._reports.hearing.expire()
        self.operations.resend()
        if self._eviction.due():
            self._reports.refresh()

    # Views ----------------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        """Install our own proposal once all of its members have promised."""
        ready = self.membership.complete()
        if ready is None:
            return
        table = self.coordinator.open_view(ready)
        if not self.membership.view.members and table.closing:
            self.coordinator.change(closing=False, closing_halt="")  # A stop that was never finished.
        self.membership.install_own(ready, self.coordinator.table)
        self._use_table()

    def _installed(self, sender: str, message: Install) -> None:
        if self.membership.install(sender, message):
            self.coordinator.orders.forget()
            self._take_table(message.table)

    def _take_table(self, table: Table) -> None:
        self.coordinator.take(table)
        self._use_table()

    def _use_table(self) -> None:
        self._reports.table_version = self.coordinator.table.version
        suspended = self.coordinator.table.suspended
        if suspended != self._reports.suspended:
            self._reports.suspended = suspended
            self.core.note("cp", 16 if suspended else 17, "cluster", self.core.cluster.name, self.core.cluster.name)
        self.recovery.suspend(suspended)
        self.fencing.arm(armed=not self.coordinator.table.disarmed)
        self.core.touch()

    # This server as a whole -------------------------------------------------------------------------------------------

    def _started(self, event: Started) -> None:
        local = self._saved.get("local")
        self.core.note("pm", 1, "server", self.core.me, self.core.me)
        if local is None:
            self._begin()
            self.switching.started(event.switch, event.stored, None)
            return
        if "table" in self._saved:
            self.coordinator.table = msgspec.convert(self._saved["table"], Table)
        if local.get("service") == "stopped":
            self.membership.stop()
            return
        self.membership.start()
        self.switching.started(event.switch, event.stored, local.get("switch", {}))
        self.membership.departed.restore(local)
        self.groups.adopt(local.get("groups", {}), dict(event.running))
        self._reports.suspended = self.coordinator.table.suspended
        self.recovery.suspend(self._reports.suspended)

    def _begin(self) -> None:
        """The cluster service starts afresh: the next view decides by the attributes of the configuration."""
        self.coordinator.table = Table(epoch=NO_EPOCH, version=0)
        self.stopping.halting = ""
        self.fencing.reset()
        self.membership.start()
        self.core.touch()

    def _asked(self, request: Request) -> None:
        if request.op == "server_start" and request.target in ("", self.core.me):
            self.core.reply(self._start_service(request))
        elif why := self.operations.again.begun_anew(request):
            self.core.reply(Answer(id=request.id, code=2, reason="new_life", text=why))
        elif request.op == "cluster_force":
            self.core.reply(force_quorum(self.core, self.membership, request))
        elif request.op == "drill_end":
            self.operations.drills.end(request)
        elif request.op in LOCAL_OPS:
            self._fence_requests.asked(request)
        else:
            self.operations.asked(request)

    def _start_service(self, request: Request) -> Answer:
        text = f"The cluster service on {self.core.me} runs already."
        if self.membership.service == "stopped":
            self.core.note("apisv", 1, "request", self.core.me, request.by or "somebody", "start the cluster service",
                           self.core.me, rule="operator")  # fmt: skip
            self._begin()
            text = f"The cluster service starts on {self.core.me}."
        return Answer(id=request.id, code=0, text=text)

    def _lease_lost(self, silence_s: float) -> str:
        held, self.membership.lease_held = self.membership.lease_held, False
        if self.groups.holding():
            note = self.core.note("cp", 7, "server", self.core.me, self.core.me, f"{silence_s:.2f}", rule="lease")
            self.groups.stop_all("GROUPSTOP", note)
            return note
        if not held or self.membership.service == "stopped":
            return ""  # There was none yet, or it is not needed.
        return self.core.note("cp", 9, "server", self.core.me, "the lease is lost, but nothing runs here", rule="lease")

    def _prepare(self, lost: str) -> None:
        """Should `lost` be lost: what of its groups comes here?"""
        for group in self.core.cluster.groups:
            if self.coordinator.heir(group, lost) == self.core.me:
                for resource in group.resources:
                    self.core.emit(Prepare(resource=resource))

    def _alone(self) -> bool:
        """Is no other server healthy, so that what stops here starts nowhere?"""
        return not any(p.alive and p.service == "online" for p in self.membership.peers.values())

    def _stalled(self, gap_s: float) -> str:
        note = self.core.note("cp", 4, "server", self.core.me, self.core.me, f"{gap_s:.2f}", rule="self-suspicion")
        self._eviction.slept = note
        self.membership.stalled(note)
        return note

    # State on disk ----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        if not self.core.save_dirty:
            return
        state = {
            "promised": list(self.membership.promised),
            "durable": msgspec.to_builtins(
                Durable(self.membership.ceiling, self.partition.ballots.known, tuple(self.groups.final.reboots))
            ),
            "note_seq": self.core.note_seq,
            "report_seq": self._reports.seq,
            "table": self.coordinator.saved(),
            "local": {
                "service": self.membership.service,
                "groups": self.groups.saved(),
                **self.membership.departed.saved(),
                "switch": self.switching.saved(),
            },
        }
        # A promise must be on disk before anybody hears of it: Save goes before the effects of this step.
        self.core.effects.insert(0, Save(state=state, durable=self.core.durable))
        self.core.save_dirty = self.core.durable = False
