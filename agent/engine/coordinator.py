"""The coordinator: where every group shall be, and the next step towards it.

Rules: level-triggered. `drive` compares the table (what shall be) with the members' reports (what is) and gives the
next order; called after every event, it may be called any number of times. An order is repeated until its server's
report carries its serial. A server that was ordered to start a group counts as a possible holder until it has
answered; so a group is never ordered to start while anybody else may hold it:
- members: by their own reports and the orders on their way to them;
- everybody else in the group's policy: only when `gone` says that it has certainly stopped.
Both sides active at reunion: the server whose start order is newest keeps the group (clients were led there last), the
others stop theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from msgspec.structs import replace

from agent.clpconf.model import Group
from agent.engine.core import NEVER, Core
from agent.engine.membership import Membership, Proposal
from agent.engine.placement import choose
from agent.engine.reports import Reports
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import GroupRecord, Install, Order, Table, TableUpdate
from agent.wire.report import HOLDING, GroupReport

_SERIALS = 1_000_000  # Serials of one epoch counter; orders of a newer epoch are always higher.


class Coordinator:
    """Every server has one and keeps its table current; only the coordinator's gives orders."""

    def __init__(self, core: Core, membership: Membership, reports: Reports) -> None:
        self.core = core
        self.membership = membership
        self.reports = reports
        self.table = Table(epoch=NO_EPOCH, version=0)
        self.sent: dict[tuple[str, str], Order] = {}
        self.to_me: list[Order] = []  # orders for this server, which the engine hands over itself
        self.resend_at = NEVER
        self.serial = 0
        self.dirty = False
        self.resumed = ""  # note of a resume, until it has been acted upon

    # Table ------------------------------------------------------------------------------------------------------

    def record(self, name: str) -> GroupRecord:
        found = self.table.groups.get(name)
        return found or GroupRecord(held=not self.core.cluster.group(name).autostart)

    def update(self, name: str, **changes: object) -> GroupRecord:
        record = replace(self.record(name), **changes)
        if record != self.table.groups.get(name):
            self.table = replace(self.table, groups={**self.table.groups, name: record})
            self.dirty = True
        return record

    def change(self, **changes: object) -> None:
        self.table = replace(self.table, **changes)
        self.dirty = True

    def take(self, table: Table) -> None:
        if (table.epoch, table.version) > (self.table.epoch, self.table.version):
            self.table = table
            self.core.touch()

    def publish(self) -> None:
        """Give every member the table after a change."""
        if not self.dirty:
            return
        self.dirty = False
        self.table = replace(self.table, epoch=self.membership.view.epoch, version=self.table.version + 1)
        self.core.touch()
        for member in self.membership.view.members:
            if member != self.core.me:
                self.core.send(member, TableUpdate(table=self.table))
        self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)

    def open_view(self, proposal: Proposal) -> Table:
        """The newest table among the promises, carried into the new epoch."""
        newest = max((p.table for p in proposal.promises.values()), key=lambda t: (t.epoch, t.version))
        joined = set(proposal.members) - set(self.membership.view.members)
        groups = {n: _second_chance(r) if joined else r for n, r in newest.groups.items()}
        self.table = replace(newest, epoch=proposal.epoch, version=newest.version + 1, groups=groups)
        self.sent.clear()
        self.resend_at = self.core.now + self.membership.resend_s
        self.serial = proposal.epoch.counter * _SERIALS
        for member, promise in proposal.promises.items():
            self.reports.take(member, promise.report)
        return self.table

    # Who may hold what ------------------------------------------------------------------------------------------

    def group_report(self, server: str, name: str) -> GroupReport:
        report = self.reports.of(server)
        return (report.groups.get(name) if report else None) or GroupReport()

    def order_on_its_way(self, server: str, name: str) -> Order | None:
        order = self.sent.get((name, server))
        return order if order and self.group_report(server, name).serial < order.serial else None

    def holders(self, name: str) -> list[str]:
        """Members that hold the group, or may do so at any moment because a start order is on its way to them."""
        found = []
        for server in self.membership.view.members:
            order = self.order_on_its_way(server, name)
            if self.group_report(server, name).state in HOLDING or (order and order.action == "start"):
                found.append(server)
        return found

    def unsure(self, group: Group) -> list[str]:
        """Servers outside of the view that may still run the group."""
        outside = [s for s in group.policy if s not in self.membership.view.members]
        return [s for s in outside if not self.membership.gone(s)]

    def available(self) -> set[str]:
        """Members that take groups."""
        reports = {m: self.reports.of(m) for m in self.membership.view.members}
        return {m for m, r in reports.items() if r is not None and r.service == "online"}

    def arrived(self, group: Group) -> bool:
        """Nothing is left to be ordered for this group: it is where it shall be, or nowhere on purpose."""
        record = self.record(group.name)
        if not record.goal or record.gave_up or record.goal not in self.membership.view.members:
            return record.goal != self.core.me
        return self.group_report(record.goal, group.name).state in HOLDING or bool(self.unsure(group))

    # Driving ----------------------------------------------------------------------------------------------------

    def drive(self, causes: tuple[str, ...]) -> None:
        """One pass over all groups; then publish and repeat what was not answered."""
        if self.resumed:
            causes, self.resumed = (*causes, self.resumed), ""
        for group in sorted(self.core.cluster.groups, key=lambda g: g.gid):
            if self.table.suspended:
                self._note_suspended(group, causes)
            else:
                self._drive_group(group, causes)
        self.publish()
        if any(self._is_behind(m) for m in self.membership.view.members):
            # A daemon that was restarted has forgotten the view; nobody else would tell it.
            self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)
        self._resend()

    def _note_suspended(self, group: Group, causes: tuple[str, ...]) -> None:
        lost = self.record(group.name).goal
        if lost and lost not in self.membership.view.members:
            self.core.note_once(f"lost {group.name}", "cp", 10, "group", group.name, group.name,
                                f"{lost} is lost, but the cluster is suspended", rule="suspended",
                                cause=causes[0])  # fmt: skip

    def _drive_group(self, group: Group, causes: tuple[str, ...]) -> None:
        record = self.record(group.name)
        holders = self.holders(group.name)
        members = self.membership.view.members
        if len(holders) < 2:
            self.core.clear(f"both {group.name}")
        if self.table.closing:
            record = self.update(group.name, goal="", cause=record.cause)
        elif len(holders) > 1:
            record = self._choose_survivor(group, holders, causes)
        elif holders and group.name not in self.table.groups:
            record = self.update(group.name, goal=holders[0], held=False)
        elif holders and self._started_elsewhere(record, holders[0], group.name):
            record = self._adopt(group, holders[0], causes)
        elif record.goal == "" and not record.held:
            record = self._find_place(group, record, holders, causes)
        elif record.goal and record.goal not in members:
            record = self._replace_lost(group, record, causes)
        elif record.goal and record.goal not in self.available():
            record = self._drain(group, record)
        if record.goal in members:
            self._bring_up(group, record, [h for h in holders if h != record.goal])
        elif record.goal == "":
            self._take_down(group, record, holders)

    def _started_elsewhere(self, record: GroupRecord, server: str, name: str) -> bool:
        """It runs by an order newer than all that this table knows: one of another coordinator, while we were apart."""
        report = self.group_report(server, name)
        return report.start_serial > record.serial and report.state in ("Online", "Online Pending")

    def _adopt(self, group: Group, server: str, causes: tuple[str, ...]) -> GroupRecord:
        why = "it was started there while the servers were apart"
        note = self.core.note("rc", 67, "group", group.name, group.name, server, why, rule="newest-start-survives",
                              causes=causes)  # fmt: skip
        serial = self.group_report(server, group.name).start_serial
        return self.update(group.name, goal=server, held=False, gave_up=False, tried=(), failovers=0, serial=serial,
                           ordered=server, cause=note)  # fmt: skip

    def _find_place(
        self, group: Group, record: GroupRecord, holders: list[str], causes: tuple[str, ...]
    ) -> GroupRecord:
        """No goal yet: adopt where it runs already, else the first server of the policy."""
        if record.gave_up:
            return record
        if holders:
            return record  # It still goes down there; then it finds its place.
        goal = choose(group, self.available(), record.tried)
        if not goal:
            why = "no server of its failover policy is available"
            note = self.core.note_once(f"place {group.name}", "rc", 63, "group", group.name, group.name, why,
                                       rule="failover-policy")  # fmt: skip
            return self.update(group.name, gave_up=True, cause=note or record.cause)
        rule = "failover-policy" if group.name in self.table.groups else "startup-attribute"
        why = self._why_here(group, goal, record.tried)
        note = self.core.note("rc", 64, "group", group.name, group.name, goal, why, rule=rule, causes=causes)
        return self.update(group.name, goal=goal, cause=note)

    def _replace_lost(self, group: Group, record: GroupRecord, causes: tuple[str, ...]) -> GroupRecord:
        """The server of the goal is no member any more."""
        lost = record.goal
        if not self.membership.gone(lost):
            self.core.note_once(f"lost {group.name}", "cp", 10, "group", group.name, group.name,
                                f"{lost} has not certainly stopped yet", rule="lost-is-not-stopped",
                                cause=causes[0])  # fmt: skip
            return record
        self.core.clear(f"lost {group.name}")
        if not group.auto_failover:
            note = self.core.note("rc", 66, "group", group.name, group.name, f"{lost} is lost",
                                  rule="failover-attribute", causes=causes)  # fmt: skip
            return self.update(group.name, goal="", held=True, cause=note)
        goal = choose(group, self.available(), (*record.tried, lost))
        return self._fail_over(group, record, lost, goal, f"{lost} is lost", causes)

    def _fail_over(
        self, group: Group, record: GroupRecord, old: str, goal: str, reason: str, causes: tuple[str, ...]
    ) -> GroupRecord:
        tried = (*record.tried, old) if old not in record.tried else record.tried
        if not goal:
            note = self.core.note("rc", 63, "group", group.name, group.name,
                                  f"{reason}; no other server of its failover policy is left",
                                  rule="failover-policy", causes=causes)  # fmt: skip
            return self.update(group.name, goal="" if old not in self.membership.view.members else old,
                               gave_up=True, tried=tried, cause=note)  # fmt: skip
        why = f"{reason}; {goal} is {self._why_here(group, goal, record.tried, old)}"
        note = self.core.note("rc", 60, "group", group.name, group.name, old, goal, why, rule="failover-policy",
                              causes=causes)  # fmt: skip
        return self.update(group.name, goal=goal, tried=tried, failovers=record.failovers + 1, cause=note)

    def _drain(self, group: Group, record: GroupRecord) -> GroupRecord:
        """The goal is leaving the cluster: its groups go elsewhere, or stop with it."""
        goal = choose(group, self.available())
        report = self.reports.of(record.goal)
        note = self.core.note("rc", 50, "group", group.name, group.name, record.goal, goal,
                              f"{record.goal} leaves the cluster", rule="drain",
                              causes=(report.leave_note if report else "",))  # fmt: skip
        return self.update(group.name, goal=goal, gave_up=not goal, tried=(), cause=note)

    def _choose_survivor(self, group: Group, holders: list[str], causes: tuple[str, ...]) -> GroupRecord:
        newest = max(holders, key=lambda s: self._claim(s, group.name))
        both = self.core.note_once(f"both {group.name}", "rc", 92, "group", group.name, group.name, ", ".join(holders),
                                   cause=causes[0])  # fmt: skip
        if not both and self.record(group.name).goal == newest:
            return self.record(group.name)
        note = self.core.note("cp", 12, "group", group.name, group.name, newest, rule="newest-start-survives",
                              causes=(both,))  # fmt: skip
        return self.update(group.name, goal=newest, held=False, cause=note)

    def _claim(self, server: str, name: str) -> tuple[bool, int, int]:
        report = self.group_report(server, name)
        return report.state not in ("Offline Pending", "Offline Failure"), report.start_serial, -self.core.index[server]

    # Steps ------------------------------------------------------------------------------------------------------

    def _bring_up(self, group: Group, record: GroupRecord, others: list[str]) -> None:
        goal, name = record.goal, group.name
        here = self.group_report(goal, name)
        for server in others:
            self._order(server, name, "stop", "GROUPFAILOVER" if record.tried else "GROUPMOVE", record.cause)
        if others:
            return
        if here.wants == "failover" and not self.order_on_its_way(goal, name):
            self._answer_wish(group, record, here)
        elif here.state == "Online":
            if record.tried or record.failovers or record.gave_up or record.retry:
                self.update(name, tried=(), failovers=0, gave_up=False, retry=False)
        elif here.state == "Online Failure" and record.retry and not self.order_on_its_way(goal, name):
            self.update(name, retry=False, ordered=goal)
            self._order(goal, name, "start", "START", record.cause)
        elif here.state == "Offline" and not self.order_on_its_way(goal, name) and not record.gave_up:
            if here.failed_serial and here.failed_serial == here.start_serial and record.ordered == goal:
                why = f"{name} was stopped on {goal} by a final action and is started by hand only"
                note = self.core.note("cp", 9, "group", name, why, rule="final-action", causes=(here.wants_id,))
                self.update(name, goal="", held=True, ordered="", cause=note)
            else:
                self._start(group, record)

    def _start(self, group: Group, record: GroupRecord) -> None:
        unsure = self.unsure(group)
        if unsure:
            self.core.note_once(f"unsure {group.name}", "cp", 15, "group", group.name, ", ".join(unsure), group.name,
                                rule="lost-is-not-stopped", cause=record.cause)  # fmt: skip
            return
        self.core.clear(f"unsure {group.name}")
        why = "FAILOVER" if record.failovers else "START"
        self.update(group.name, ordered=record.goal)
        self._order(record.goal, group.name, "start", why, record.cause)

    def _answer_wish(self, group: Group, record: GroupRecord, here: GroupReport) -> None:
        """A server asks to be rid of the group: the next server of the policy, or nobody."""
        limit = self._failover_limit(record.goal, group)
        reason = here.detail or "a monitor found an error"
        if record.failovers >= limit:
            self._stay(group, record, f"{reason}; its failover threshold ({limit}) is reached", here.wants_id)
            return
        goal = "" if record.gave_up else choose(group, self.available(), (*record.tried, record.goal))
        updated = self._fail_over(group, record, record.goal, goal, reason, (here.wants_id,))
        if not goal:
            self._order(record.goal, group.name, "give_up", "", updated.cause)

    def _stay(self, group: Group, record: GroupRecord, why: str, cause: str) -> None:
        """No further server is tried, though some may be left: the final action follows where the group is."""
        note = self.core.note("rc", 62, "group", group.name, group.name, record.goal, why, rule="failover-threshold",
                              causes=(cause,))  # fmt: skip
        self.update(group.name, gave_up=True, cause=note)
        self._order(record.goal, group.name, "give_up", "", note)

    def _failover_limit(self, server: str, group: Group) -> int:
        """Failovers in one episode: the failed resource's threshold, or once round the policy for monitors."""
        report = self.reports.of(server)
        states = report.resources if report else {}
        failed = [r for r in group.resources if r in states and states[r].state == "Online Failure"]
        if failed:
            return max(self.core.cluster.resource(r).activation.failover for r in failed)
        return len(group.policy)

    def _take_down(self, group: Group, record: GroupRecord, holders: list[str]) -> None:
        factor = "CLUSTERSTOP" if self.table.closing else "GROUPSTOP"
        for server in holders:
            self._order(server, group.name, "stop", factor, record.cause)

    def _order(self, server: str, name: str, action: Literal["start", "stop", "give_up"], why: str, cause: str) -> None:
        waiting = self.sent.get((name, server))
        answered = waiting is None or self.group_report(server, name).serial >= waiting.serial
        if waiting is not None and waiting.action == action and (not answered or self._under_way(server, name, action)):
            return
        self.serial += 1
        order = Order(epoch=self.membership.view.epoch, serial=self.serial, group=name, action=action, why=why,
                      cause=cause)  # fmt: skip
        self.sent[name, server] = order
        self.update(name, serial=self.serial)
        self._deliver(server, order)

    def stuck(self, name: str) -> list[str]:
        """Members on which the group could not be stopped, nobody has asked again since, and no final action takes
        the server down."""
        return [
            s
            for s in self.membership.view.members
            if self.group_report(s, name).state == "Offline Failure"
            and not self.order_on_its_way(s, name)
            and not self._goes_down(s, name)
        ]

    def _goes_down(self, server: str, name: str) -> bool:
        report = self.reports.of(server)
        states = report.resources if report else {}
        failed = [r for r in self.core.cluster.group(name).resources if r in states]
        return any(
            states[r].state == "Offline Failure" and self.core.cluster.resource(r).deactivation.action >= 4
            for r in failed
        )

    def stop_again(self, name: str) -> None:
        """The operator wants another attempt where a stop has failed."""
        for server in self.stuck(name):
            self.sent.pop((name, server), None)
            self._order(server, name, "stop", "GROUPSTOP", self.record(name).cause)

    def _under_way(self, server: str, name: str, action: str) -> bool:
        state = self.group_report(server, name).state
        return action != "start" and state in ("Offline Pending", "Offline Failure")

    def _deliver(self, server: str, order: Order) -> None:
        if server == self.core.me:
            self.to_me.append(order)
        else:
            self.core.send(server, order)
        self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)

    def _resend(self) -> None:
        if self.core.now < self.resend_at:
            return
        self.resend_at = NEVER
        self._resend_view()
        for name, server in list(self.sent):
            order = self.order_on_its_way(server, name)
            if order is not None and server in self.membership.view.members:
                self._deliver(server, order)

    def _is_behind(self, member: str) -> bool:
        """It has not installed the view, or has an old table, by its own report."""
        report = self.reports.of(member)
        if member == self.core.me or report is None:
            return False
        return report.epoch != self.membership.view.epoch or report.table < self.table.version

    def _resend_view(self) -> None:
        """Tell them again what they lack."""
        view = self.membership.view
        for member in filter(self._is_behind, view.members):
            report = self.reports.of(member)
            if report is not None and report.epoch == view.epoch:
                self.core.send(member, TableUpdate(table=self.table))
            else:
                self.core.send(member, Install(epoch=view.epoch, members=view.members, table=self.table))
            self.resend_at = min(self.resend_at, self.core.now + self.membership.resend_s)

    def _why_here(self, group: Group, goal: str, tried: Collection[str], left: str = "") -> str:
        """One clause that explains the choice to the administrator; why it must leave `left` he has read before."""
        if goal == group.policy[0]:
            return "first in its failover policy"
        passed = [s for s in group.policy[: group.policy.index(goal)] if s != left]
        if not passed:
            return "next in its failover policy"
        reasons = [f"{s} {'was tried already' if s in tried else 'is not available'}" for s in passed]
        return "next in its failover policy: " + ", ".join(reasons)


def _second_chance(record: GroupRecord) -> GroupRecord:
    """A server has joined: groups that found no place may try again."""
    return replace(record, gave_up=False, tried=()) if record.gave_up and not record.goal else record
