"""What the coordinator has decided and what it knows: the table, who may hold which group, and the best server for one.

The table is replicated to all members and carried into the next view by the newest copy among the promises.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.clpconf.model import Group
from agent.engine import quarantine
from agent.engine.core import Core
from agent.engine.exclusion import Exclusion
from agent.engine.fencing import Fencing
from agent.engine.membership import Membership
from agent.engine.orders import Orders
from agent.engine.placement import choose, choose_next, why_here
from agent.engine.reports import Reports
from agent.engine.view import Proposal
from agent.engine.wholeness import Wholeness
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import GroupRecord, Order, Table, TableUpdate
from agent.wire.report import HOLDING, GroupReport

_SERIALS = 1_000_000  # Serials of one epoch counter; orders of a newer epoch are always higher.


class Plan:
    """Every server keeps its table current; only the coordinator changes it."""

    def __init__(self, core: Core, membership: Membership, reports: Reports, fencing: Fencing) -> None:
        self.core = core
        self.membership = membership
        self.reports = reports
        self.fencing = fencing
        self.orders = Orders(core, membership, reports)
        self.exclusion = Exclusion(core.cluster.groups, self._places)
        self.group = {g.name: g for g in core.cluster.groups}
        self.table = Table(epoch=NO_EPOCH, version=0)
        self._saved: tuple[Table | None, dict[str, Any]] = (None, {})
        self.dirty = False
        self._available: frozenset[str] = frozenset()
        self._available_at: tuple[Epoch, int] = (NO_EPOCH, -1)
        self.followers: dict[str, list[str]] = {}  # group -> those that start after it
        for group in core.cluster.groups:
            for name in group.start_after:
                self.followers.setdefault(name, []).append(group.name)
        self.wholeness = Wholeness(self)
        self.pending = set(self.group)  # groups that are not known to be at rest

    # Table ------------------------------------------------------------------------------------------------------

    def record(self, name: str) -> GroupRecord:
        found = self.table.groups.get(name)
        return found or GroupRecord(held=not self.group[name].autostart)

    def update(self, name: str, **changes: object) -> GroupRecord:
        record = replace(self.record(name), **changes)
        if record != self.table.groups.get(name):
            self.table = replace(self.table, groups={**self.table.groups, name: record})
            self.dirty = True
            self.pending.add(name)
            self.pending.update(self.followers.get(name, ()))
            self.exclusion.moved(name, record.goal)
        return record

    def change(self, **changes: object) -> None:
        self.table = replace(self.table, **changes)
        self.dirty = True

    def take(self, table: Table) -> None:
        if (table.epoch, table.version) > (self.table.epoch, self.table.version):
            self.table = table
            self.pending.update(self.group)
            self.core.touch()

    def saved(self) -> dict[str, Any]:
        """The table for the disk; made anew only when it is another."""
        if self._saved[0] is not self.table:
            self._saved = (self.table, msgspec.to_builtins(self.table))
        return self._saved[1]

    def publish(self) -> None:
        """Give every member the table after a change."""
        if not self.dirty:
            return
        self.dirty = False
        self.table = replace(self.table, epoch=self.membership.view.epoch, version=self.table.version + 1)
        self.core.touch()
        self.core.send_all(self.membership.view.members, TableUpdate(table=self.table))
        self.orders.wake(self.core.now + self.membership.resend_s)

    def open_view(self, proposal: Proposal) -> Table:
        """The newest table among the promises, carried into the new epoch."""
        newest = max((p.table for p in proposal.promises.values()), key=lambda t: (t.epoch, t.version))
        joined = set(proposal.members) - set(self.membership.view.members)
        fresh = {m for m, p in proposal.promises.items() if p.report.epoch == NO_EPOCH}
        groups = {
            n: _fresh_start(_second_chance(r) if joined else r, self.group.get(n), fresh)
            for n, r in newest.groups.items()
        }
        table = quarantine.with_losses(self.core, self.membership, proposal, newest)
        self.table = replace(table, epoch=proposal.epoch, version=newest.version + 1, groups=groups)
        self.orders.forget()
        self.orders.resend_at = self.core.now + self.membership.resend_s
        self.orders.serial = proposal.epoch.counter * _SERIALS
        self.pending.update(self.group)
        for member, promise in proposal.promises.items():
            self.reports.take(member, promise.report)
        return self.table

    # Who may hold what ------------------------------------------------------------------------------------------

    def group_report(self, server: str, name: str) -> GroupReport:
        return self.orders.report(server, name)

    def order_on_its_way(self, server: str, name: str) -> Order | None:
        return self.orders.on_its_way(server, name)

    def holders(self, name: str) -> list[str]:
        return self.orders.holders(name)

    def unsure(self, group: Group) -> list[str]:
        """Servers outside of the view that may still run the group."""
        # Without a majority two sides may act: then only a server that nobody else can replace starts alone.
        everybody = self.fencing.all_or_none and len(group.policy) > 1
        names = self.core.cluster.server_names if everybody else group.policy
        return [s for s in names if s not in self.membership.view.members and not self.membership.gone(s)]

    def available(self) -> frozenset[str]:
        """Members that take groups."""
        now = (self.membership.view.epoch, self.reports.version)
        if now != self._available_at:
            reports = {m: self.reports.of(m) for m in self.membership.view.members}
            self._available = frozenset(m for m, r in reports.items() if r is not None and r.service == "online")
            self._available_at = now
        return self._available

    def arrived(self, group: Group) -> bool:
        """Nothing is left to be ordered for this group: it is where it shall be, or nowhere on purpose."""
        record = self.record(group.name)
        if not record.goal or record.gave_up or record.goal not in self.membership.view.members:
            return record.goal != self.core.me
        return self.group_report(record.goal, group.name).state in HOLDING or bool(self.unsure(group))

    # Where to ---------------------------------------------------------------------------------------------------

    def place(self, group: Group, excluded: Collection[str] = (), *, without: str = "") -> str:
        """The best server by all rules, "" when none is left. `without`: as if this one were lost."""
        closed = self.exclusion.closed(group)
        shut = {*excluded, *closed, without} if closed or without else excluded
        return choose(group, self.available(), shut, failed_on=self.record(group.name).failed_on,
                      shared=self.exclusion.shared(group), quarantine=self.table.quarantine)  # fmt: skip

    def place_next(self, group: Group, current: str) -> str:
        """Where the operator's move without a destination leads."""
        closed, available = self.exclusion.closed(group), self.available()
        avoided = {*closed, *self.exclusion.shared(group), *self.table.quarantine}
        return choose_next(group, current, available, avoided) or choose_next(group, current, available, closed)

    def heir(self, group: Group, lost: str) -> str:
        """Where the group comes when this server is lost; "" when it does not."""
        record = self.record(group.name)
        if record.goal != lost or not group.auto_failover or self.table.suspended:
            return ""
        return self.place(group, record.tried, without=lost)

    def _places(self, name: str) -> list[str]:
        goal = self.record(name).goal
        return [*self.holders(name), *([goal] if goal else [])]

    def _why_here(self, group: Group, goal: str, tried: Collection[str], left: str = "") -> str:
        if goal == group.policy[0]:
            again = ", where it failed longest ago" if goal in self.record(group.name).failed_on else ""
            return why_here(group, goal, {}) + again
        failed, available = self.record(group.name).failed_on, self.available()
        reasons = {s: "is in quarantine" for s in self.table.quarantine if s in available}
        reasons |= {s: "failed before" for s in failed if s in available}
        excluding = {**self.exclusion.shared(group), **self.exclusion.closed(group)}
        reasons |= {s: f"has {other}, which excludes it" for s, other in excluding.items() if s in available}
        reasons |= dict.fromkeys(tried, "was tried already")
        return why_here(group, goal, reasons, left)


def _second_chance(record: GroupRecord) -> GroupRecord:
    """A server has joined: groups that found no place may try again."""
    return record if record.goal or record.held else replace(record, gave_up=False, tried=())


def _fresh_start(record: GroupRecord, group: Group | None, restarted: Collection[str]) -> GroupRecord:
    """What failed on a server before it was restarted counts no more, and a home that is back calls its groups."""
    policy = group.policy if group else ()
    before = policy[: policy.index(record.goal)] if record.goal in policy else ()
    failed_on = tuple(s for s in record.failed_on if s not in restarted)
    stays = record.stays and not any(s in restarted for s in before)
    if (failed_on, stays) == (record.failed_on, record.stays):
        return record
    return replace(record, failed_on=failed_on, stays=stays)
