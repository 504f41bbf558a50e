"""The coordinator: where every group shall be, and the next step towards it.

Rules: level-triggered. `drive` compares the table (what shall be) with the members' reports (what is) and gives the
next order; called after every event, it may be called any number of times. It looks at the groups that are not at rest
and at those of which it has heard something new; a group at rest needs nothing until then.
A group is never ordered to start while anybody else may hold it:
- members: by their own reports and the orders on their way to them (orders.py);
- everybody else in the group's policy: only when `gone` says that it has certainly stopped.
Both sides active at reunion: where the group is well it stays, before where it has failed or a monitor wants it away;
of several a server with the survive attribute keeps it, else the one whose start order is newest (clients were led
there last); the others stop theirs.
"""

from __future__ import annotations

from agent.clpconf.model import Group
from agent.engine import quarantine
from agent.engine.core import NEVER, Core
from agent.engine.failback import Failback
from agent.engine.fencing import Fencing
from agent.engine.group_order import GroupOrder, in_start_order
from agent.engine.membership import Membership
from agent.engine.orders import Action
from agent.engine.plan import Plan
from agent.engine.reports import Reports
from agent.wire.peer import GroupRecord, TableUpdate
from agent.wire.report import HOLDING, GroupReport

_BUSY = ("Online Pending", "Offline Pending")
_ARRIVED = {"move": 51, "failover": 61, "failback": 75}  # rc: from where it came, and that it is there


class Coordinator(Plan):
    """Every server has one; only the coordinator's gives orders."""

    def __init__(self, core: Core, membership: Membership, reports: Reports, fencing: Fencing) -> None:
        super().__init__(core, membership, reports, fencing)
        self.failback = Failback(core)
        self.order = GroupOrder(core)
        self._rank = {name: rank for rank, name in enumerate(in_start_order(core.cluster.groups))}
        self.resumed = ""  # note of a resume, until it has been acted upon
        self._seen: tuple[object, ...] = ()  # what concerns all groups, as of the last pass
        self.moving: set[str] = set()  # groups on their way, as of the last pass

    # Driving ----------------------------------------------------------------------------------------------------

    def drive(self, causes: tuple[str, ...]) -> None:
        """One pass over the groups that are not at rest; then publish and repeat what was not answered."""
        self.fencing.begin_pass()
        if self.resumed:
            causes, self.resumed = (*causes, self.resumed), ""
        self._look_around()
        for name in () if self._frozen() else sorted(self.pending, key=self._rank.__getitem__):
            group = self.group[name]
            if self.table.suspended:
                self._note_suspended(group, causes)
                continue
            self._drive_group(group, causes)
            self._sort(group)
        if self.failback.away and not (
            self.moving or self.table.suspended or self.table.closing or self.table.applying
        ):
            self._fail_back()
        self.publish()
        if any(self._is_behind(m) for m in self.membership.view.members):
            # A daemon that was restarted has forgotten the view; nobody else would tell it.
            self.orders.wake(self.core.now + self.membership.resend_s)
        self._resend()

    def _look_around(self) -> None:
        """Which groups have to be looked at again?"""
        self.exclusion.forget()
        self.wholeness.look()
        if self.table.quarantine:
            left = quarantine.over(self.core, self.table.quarantine)
            if left != self.table.quarantine:
                self.change(quarantine=left)
        self.orders.read()
        for name in self.orders.changed & self.group.keys():
            self.pending.add(name)
            self.pending.update(self.followers.get(name, ()))
        self.orders.changed.clear()
        self.pending.update(self.order.due())
        view, available = self.membership.view, self.available()
        seen = (view.epoch, available, self.table.suspended, self.table.closing, len(self.table.quarantine))
        if seen != self._seen:
            self._seen = seen
            self.failback.available(available)
            self.pending.update(self.group)

    def _sort(self, group: Group) -> None:
        """Is the group at rest, on its way, or does it wait for something?"""
        record, holders = self.record(group.name), self.holders(group.name)
        goal, ordered = record.goal, self.order_on_its_way(record.goal, group.name)
        here = self.group_report(goal, group.name)
        quiet = holders == ([goal] if goal else []) and not ordered and not here.wants and not record.retry
        if quiet and goal in self.available() and here.state in ("Online", "Online Failure"):
            self._rest(group)
            (self.failback.rests if here.state == "Online" else self.failback.moves)(group, goal)
        elif quiet and not goal and (record.held or record.gave_up):
            self._rest(group)
            self.failback.moves(group, goal)
        else:
            self.failback.moves(group, goal)
            lost = goal and goal not in self.membership.view.members
            moves = lost or ordered or any(self.group_report(h, group.name).state in _BUSY for h in holders)
            (self.moving.add if moves else self.moving.discard)(group.name)
            if not moves and not holders and self.order.waits_to_start(group):
                self.pending.discard(group.name)  # What it waits for wakes it, or the end of its patience.

    def _rest(self, group: Group) -> None:
        self.pending.discard(group.name)
        self.moving.discard(group.name)
        self.order.forget_start(group)
        self.order.forget_stop(group)

    def _fail_back(self) -> None:
        """One group that is away from a better server, when it is time."""
        for name in sorted(self.failback.away, key=self._rank.__getitem__):
            group, record = self.group[name], self.record(name)
            goal = self.failback.target(group, record, self._no_failback_to)
            if goal:
                note = self.core.note("rc", 74, "group", name, name, goal, rule="failback",
                                      causes=(self.membership.view_note,))  # fmt: skip
                self.update(name, goal=goal, move="failback", origin=record.goal, cause=note, request="")
                self.moving.add(name)
                self._drive_group(group, (note,))
                return

    def _no_failback_to(self, group: Group) -> set[str]:
        return {*self.exclusion.closed(group), *self.exclusion.shared(group), *self.table.quarantine}

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
        if self._switched_off(group.name):
            self._take_down(group, record, holders)
            return
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

    def _frozen(self) -> bool:
        """Every server is about to begin anew with another configuration: no orders."""
        applying = self.table.applying
        return applying is not None and applying.freezes

    def _switched_off(self, name: str) -> bool:
        """A change of the configuration stops it first; afterwards it goes where it was."""
        applying = self.table.applying
        return applying is not None and applying.phase == "stopping" and name in applying.switch.groups

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
                           ordered=server, move="", origin="", cause=note)  # fmt: skip

    def _find_place(
        self, group: Group, record: GroupRecord, holders: list[str], causes: tuple[str, ...]
    ) -> GroupRecord:
        """No goal yet: adopt where it runs already, else the first server of the policy."""
        if record.gave_up:
            return record
        if holders:
            return record  # It still goes down there; then it finds its place.
        goal = self.place(group, record.tried)
        if not goal:
            return self._nowhere(group, record, causes)
        self.core.clear(f"place {group.name}")
        rule = "failover-policy" if group.name in self.table.groups else "startup-attribute"
        why = self._why_here(group, goal, record.tried)
        note = self.core.note("rc", 64, "group", group.name, group.name, goal, why, rule=rule, causes=causes)
        return self.update(group.name, goal=goal, cause=note)

    def _nowhere(self, group: Group, record: GroupRecord, causes: tuple[str, ...]) -> GroupRecord:
        if self._excluded(group, record):
            self._note_excluded(group, causes[0] or record.cause)
            return record
        why = "no server of its failover policy is available"
        note = self.core.note_once(f"place {group.name}", "rc", 63, "group", group.name, group.name, why,
                                   rule="failover-policy")  # fmt: skip
        return self.update(group.name, gave_up=True, cause=note or record.cause)

    def _excluded(self, group: Group, record: GroupRecord) -> bool:
        """Only other groups keep it from a server. It waits: they may stop, or another server come."""
        closed = self.exclusion.closed(group)
        return any(s in closed and s in group.policy and s not in record.tried for s in self.available())

    def _note_excluded(self, group: Group, cause: str) -> str:
        names = ", ".join(f"{other} on {server}" for server, other in self.exclusion.closed(group).items())
        return self.core.note_once(f"place {group.name}", "rc", 69, "group", group.name, group.name, names,
                                   rule="exclusion", cause=cause)  # fmt: skip

    def _replace_lost(self, group: Group, record: GroupRecord, causes: tuple[str, ...]) -> GroupRecord:
        """The server of the goal is no member any more."""
        lost = record.goal
        if not self.membership.gone(lost):
            self.core.note_once(f"lost {group.name}", "cp", 10, "group", group.name, group.name,
                                f"{lost} has not certainly stopped yet", rule="lost-is-not-stopped",
                                cause=causes[0])  # fmt: skip
            if group.auto_failover:
                self.fencing.request(lost, causes[0])
            return record
        self.core.clear(f"lost {group.name}")
        if not group.auto_failover:
            note = self.core.note("rc", 66, "group", group.name, group.name, f"{lost} is lost",
                                  rule="failover-attribute", causes=causes)  # fmt: skip
            return self.update(group.name, goal="", held=True, move="", origin="", cause=note)
        goal = self.place(group, (*record.tried, lost))
        return self._fail_over(group, record, lost, goal, f"{lost} is lost", causes)

    def _fail_over(
        self, group: Group, record: GroupRecord, old: str, goal: str, reason: str, causes: tuple[str, ...]
    ) -> GroupRecord:
        if not goal:
            return self._fail_nowhere(group, record, old, reason, causes)
        tried = (*record.tried, old)
        why = f"{reason}; {goal} is {self._why_here(group, goal, record.tried, old)}"
        note = self.core.note("rc", 60, "group", group.name, group.name, old, goal, why, rule="failover-policy",
                              causes=causes)  # fmt: skip
        return self.update(group.name, goal=goal, tried=tried, failovers=record.failovers + 1, move="failover",
                           stays=False, origin=old, cause=note)  # fmt: skip

    def _fail_nowhere(
        self, group: Group, record: GroupRecord, old: str, reason: str, causes: tuple[str, ...]
    ) -> GroupRecord:
        here = old in self.membership.view.members
        if not here and self._excluded(group, record):
            note = self._note_excluded(group, causes[0])
            return self.update(group.name, goal="", tried=(), move="", origin="", cause=note or record.cause)
        why = f"{reason}; no other server of its failover policy is left"
        note = self.core.note("rc", 63, "group", group.name, group.name, why, rule="failover-policy", causes=causes)
        return self.update(group.name, goal=old if here else "", gave_up=True, tried=(*record.tried, old), move="",
                           origin="", cause=note)  # fmt: skip

    def _drain(self, group: Group, record: GroupRecord) -> GroupRecord:
        """The goal is leaving the cluster: its groups go elsewhere, or stop with it."""
        goal = self.place(group)
        report = self.reports.of(record.goal)
        note = self.core.note("rc", 50, "group", group.name, group.name, record.goal, goal,
                              f"{record.goal} leaves the cluster", rule="drain",
                              causes=(report.leave_note if report else "",))  # fmt: skip
        return self.update(group.name, goal=goal, gave_up=not goal, tried=(), move="move" if goal else "",
                           stays=False, origin=record.goal, cause=note)  # fmt: skip

    def _choose_survivor(self, group: Group, holders: list[str], causes: tuple[str, ...]) -> GroupRecord:
        newest = max(holders, key=lambda s: self._claim(s, group.name))
        both = self.core.note_once(f"both {group.name}", "rc", 92, "group", group.name, group.name, ", ".join(holders),
                                   cause=causes[0])  # fmt: skip
        if not both and self.record(group.name).goal == newest:
            return self.record(group.name)
        decided_well = len({self._claim(server, group.name)[:2] for server in holders}) > 1
        survives = self.core.cluster.server(newest).survive and not decided_well
        module, event = ("rc", 502) if survives else ("cp", 12)
        rule = "well-one-survives" if decided_well else "survive" if survives else "newest-start-survives"
        note = self.core.note(module, event, "group", group.name, group.name, newest, rule=rule, causes=(both,))
        return self.update(group.name, goal=newest, held=False, move="", origin="", cause=note)

    def _claim(self, server: str, name: str) -> tuple[bool, bool, bool, int, int]:
        report, survives = self.group_report(server, name), self.core.cluster.server(server).survive
        runs = report.state not in ("Offline Pending", "Offline Failure")
        well = report.state != "Online Failure" and not report.wants
        return runs, well, survives, report.start_serial, -self.core.index[server]

    # Steps ------------------------------------------------------------------------------------------------------

    def _bring_up(self, group: Group, record: GroupRecord, others: list[str]) -> None:
        goal, name = record.goal, group.name
        here = self.group_report(goal, name)
        factor = "GROUPFAILOVER" if record.tried else "GROUPMOVE"
        for server in others:
            if here.state in HOLDING:  # Doubly active: that ends at once, in whatever order.
                self._order(server, name, "stop", factor, record.cause)
            else:
                self._stop(group, server, factor, record.cause)
        if others:
            return
        if here.wants == "failover" and not self.order_on_its_way(goal, name):
            self._answer_wish(group, record, here)
        elif here.state == "Online":
            self._online(group, record)
        elif here.state == "Online Failure" and record.retry and not self.order_on_its_way(goal, name):
            self.update(name, retry=False, ordered=goal)
            self._order(goal, name, "start", "START", record.cause)
        elif here.state == "Offline" and not self.order_on_its_way(goal, name) and not record.gave_up:
            if here.failed_serial and here.failed_serial == here.start_serial and record.ordered == goal:
                why = f"{name} was stopped on {goal} by a final action and is started by hand only"
                note = self.core.note("cp", 9, "group", name, why, rule="final-action", causes=(here.wants_id,))
                self.update(name, goal="", held=True, ordered="", move="", origin="", cause=note)
            else:
                self._start(group, record)

    def _online(self, group: Group, record: GroupRecord) -> None:
        """It has arrived: the episode is over."""
        if record.move:
            self.core.note("rc", _ARRIVED[record.move], "group", group.name, group.name,
                           *([] if record.move == "failback" else [record.origin]), record.goal,
                           causes=(record.cause,))  # fmt: skip
        if record.move or record.tried or record.failovers or record.gave_up or record.retry:
            self.update(group.name, tried=(), failovers=0, gave_up=False, retry=False, move="", origin="")

    def _start(self, group: Group, record: GroupRecord) -> None:
        unsure = self.unsure(group)
        if unsure:
            self.core.note_once(f"unsure {group.name}", "cp", 15, "group", group.name, ", ".join(unsure), group.name,
                                rule="lost-is-not-stopped", cause=record.cause)  # fmt: skip
            for server in unsure:
                self.fencing.request(server, record.cause)
            return
        self.core.clear(f"unsure {group.name}")
        if other := next((o for o in self.exclusion.rivals(group) if record.goal in self.holders(o)), ""):
            self._give_way(group, record, other)
            return
        if self._leave_quarantined(group, record):
            return
        may, late = self.order.may_start(group, self._not_online(group, record.goal), record.cause)
        if late:
            self.update(group.name, goal="", held=True, move="", origin="", cause=late)
        elif may:
            self.update(group.name, ordered=record.goal)
            self._order(record.goal, group.name, "start", "FAILOVER" if record.failovers else "START", record.cause)

    def _give_way(self, group: Group, record: GroupRecord, other: str) -> None:
        """Another coordinator has started the other group there, while the servers were apart."""
        note = self.core.note("rc", 65, "group", group.name, group.name, record.goal, f"{other} is active there",
                              rule="exclusion", causes=(record.cause,))  # fmt: skip
        self.update(group.name, goal="", move="", origin="", cause=note)

    def _leave_quarantined(self, group: Group, record: GroupRecord) -> bool:
        """It ran there when the server went down again; it starts where it is quieter, unless the operator wants it."""
        found = self.table.quarantine.get(record.goal)
        if found is None or not record.ordered:
            return False
        goal = self.place(group, (*record.tried, record.goal))
        if not goal or goal in self.table.quarantine:
            return False
        self._fail_over(group, record, record.goal, goal, f"{record.goal} is in quarantine", (found.cause,))
        return True

    def _not_online(self, group: Group, server: str) -> list[str]:
        """Groups that must be online before this one starts on that server."""
        waits = []
        for name in group.start_after:
            goal = self.record(name).goal if name in self.group else ""
            online = goal in self.membership.view.members and self.group_report(goal, name).state == "Online"
            if name in self.group and not online and (name not in group.start_same_server or goal == server):
                waits.append(name)
        return waits

    def _answer_wish(self, group: Group, record: GroupRecord, here: GroupReport) -> None:
        """A server asks to be rid of the group: the next server of the policy, or nobody."""
        limit = self._failover_limit(record.goal, group)
        reason = here.detail or "a monitor found an error"
        if record.move == "failback":
            self.core.note("rc", 76, "group", group.name, group.name, record.goal, reason, causes=(here.wants_id,))
        failed_on = (*(s for s in record.failed_on if s != record.goal), record.goal)
        record = self.update(group.name, failed_on=failed_on)
        if record.tried.count(record.goal) >= limit:
            self._stay(group, record, f"{reason}; its failover threshold ({limit}) is reached", here.wants_id)
            return
        used_up = {s for s in record.tried if record.tried.count(s) >= limit}
        goal = "" if record.gave_up else self.place(group, (*used_up, record.goal))
        updated = self._fail_over(group, record, record.goal, goal, reason, (here.wants_id,))
        if not goal:
            self._order(record.goal, group.name, "give_up", "", updated.cause)

    def _stay(self, group: Group, record: GroupRecord, why: str, cause: str) -> None:
        """No further server is tried, though some may be left: the final action follows where the group is."""
        note = self.core.note("rc", 62, "group", group.name, group.name, record.goal, why, rule="failover-threshold",
                              causes=(cause,))  # fmt: skip
        self.update(group.name, gave_up=True, move="", origin="", cause=note)
        self._order(record.goal, group.name, "give_up", "", note)

    def _failover_limit(self, server: str, group: Group) -> int:
        """Failovers from one server in one episode: the failed resource's threshold; once for monitors, which count
        theirs themselves."""
        report = self.reports.of(server)
        states = report.resources if report else {}
        failed = [r for r in group.resources if r in states and states[r].state == "Online Failure"]
        return max((self.core.resource[r].activation.failover for r in failed), default=1)

    def _take_down(self, group: Group, record: GroupRecord, holders: list[str]) -> None:
        factor = "CLUSTERSTOP" if self.table.closing else "GROUPSTOP"
        for server in holders:
            self._stop(group, server, factor, record.cause)

    def _stop(self, group: Group, server: str, factor: str, cause: str) -> None:
        waits = group.stop_after and not self._told_to_stop(server, group.name)
        if not waits or self.order.may_stop(group, self._stop_first(group, server), cause):
            self._order(server, group.name, "stop", factor, cause)

    def _told_to_stop(self, server: str, name: str) -> bool:
        order = self.orders.sent.get((name, server))
        return order is not None and order.action == "stop"

    def _stop_first(self, group: Group, server: str) -> list[str]:
        """Groups that must be down before this one stops on that server, since they are stopping as well."""
        available = self.available()
        leaves = server not in available
        applies = group.stop_order_server if leaves else group.stop_order_other
        if self.table.closing:
            applies = group.stop_order_cluster
        waits = []
        for name in group.stop_after if applies else ():
            goal = self.record(name).goal if name in self.group else ""
            held = [h for h in self.holders(name) if h != goal or h not in available]
            if leaves and not self.table.closing:
                held = [h for h in held if h == server]
            if any(self.group_report(h, name).state != "Offline Failure" for h in held):
                waits.append(name)
        return waits

    def _order(self, server: str, name: str, action: Action, why: str, cause: str) -> None:
        serial = self.orders.give(server, name, action, why, cause)
        if serial:
            self.update(name, serial=serial)

    def stuck(self, name: str) -> list[str]:
        """Members on which the group could not be stopped, nobody has asked again since, and no final action takes
        the server down."""
        return [
            s
            for s in self.membership.view.members
            if (report := self.group_report(s, name)).state == "Offline Failure"
            and not self.order_on_its_way(s, name)
            and not report.halts
        ]

    def rests_in_failure(self, name: str, server: str) -> bool:
        """It could not be started there, and nothing more is done about it."""
        report, record = self.group_report(server, name), self.record(name)
        waits = record.retry or report.wants or self.order_on_its_way(server, name)
        return report.state == "Online Failure" and not waits

    def stop_again(self, name: str) -> None:
        """The operator wants another attempt where a stop has failed."""
        for server in self.stuck(name):
            self.orders.again(server, name)
            self._order(server, name, "stop", "GROUPSTOP", self.record(name).cause)

    # Repeating --------------------------------------------------------------------------------------------------

    def _resend(self) -> None:
        if self.core.now < self.orders.resend_at:
            return
        self.orders.resend_at = NEVER
        self._resend_view()
        self.orders.resend()

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
                self.core.send(member, view.told(self.table))
            self.orders.wake(self.core.now + self.membership.resend_s)
