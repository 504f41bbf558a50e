"""Requests that arrive during a recovery: they wait, are told so, and are carried out or refused when it is over.

Rules. A start or move of a group waits while that group is being recovered: its server is lost, or it goes up or down
by a decision of the cluster. A suspension waits while any group is on its way, which would strand it. A stop never
waits: it ends a recovery safely. What an operator asked for before is no recovery: a later wish overtakes it.
A lost server that cannot be replaced for long makes nobody wait for ever: after four timeouts the request is judged as
things are. Where the rest of a view is gone and the coordinator may not act, nothing is recovered: a start is refused
at once, unless somebody is there to form another view with; then it waits no longer than four timeouts.
A change of the configuration waits a moment for the reports that every server has stored it. A later request about the
same group takes the place of one that waits, and a suspension or resumption of the cluster the place of a suspension.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from agent.engine.coordinator import Coordinator
from agent.engine.core import Core
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import Request

_BUSY = ("Online Pending", "Offline Pending")
_PATIENCE = 4  # heartbeat timeouts
_STORE_S = 3.0


class Queued(msgspec.Struct):
    request: Request
    since: float
    why: str


class WaitingLine:
    """Of the coordinator; a new one is told again by whoever took the request."""

    def __init__(self, core: Core, coordinator: Coordinator) -> None:
        self.core = core
        self.coordinator = coordinator
        self.queued: dict[str, Queued] = {}

    @property
    def patience_s(self) -> float:
        return _PATIENCE * self.core.cluster.timeout_s

    def has_view(self, request: Request) -> bool:
        """A view in which it can be carried out. A coordinator that has lost its lease, or reaches no ping target,
        starts nothing: the others that it needs are gone."""
        membership = self.coordinator.membership
        if request.op in ("group_start", "group_move") and membership.view.coordinator == self.core.me:
            return membership.in_view and membership.lease_held and not membership.partition.cut_off
        return membership.in_view or request.op == "server_start"

    def view_changes(self) -> bool:
        membership = self.coordinator.membership
        if membership.service == "stopped":
            return False
        joins = any(p.alive and p.epoch != NO_EPOCH for p in membership.peers.values())
        agrees = membership.promised > membership.view.epoch and membership.promised_at > 0
        return membership.proposal is not None or joins or agrees

    def obstacle(self, request: Request, under_way: Collection[str]) -> str:
        """Why the request has to wait, "" when it need not. `under_way`: requests that are being carried out."""
        if request.op == "cluster_suspend":
            moving = sorted(self.coordinator.moving)
            return f"{', '.join(moving)} must come to rest first" if moving else ""
        if request.op == "config_apply":
            return self._not_stored(request)
        name = request.target
        if request.op not in ("group_start", "group_move") or name not in self.coordinator.group:
            return ""
        record, table = self.coordinator.record(name), self.coordinator.table
        if record.request in {*under_way, request.id} or table.suspended or table.closing:
            return ""
        if record.goal and record.goal not in self.coordinator.membership.view.members:
            waited = request.id in self.queued and self.core.now >= self.queued[request.id].since + self.patience_s
            return "" if waited else f"{name} is being recovered, since {record.goal} is lost"
        busy = [s for s in self.coordinator.holders(name) if self._busy(s, name)]
        return f"{name} is being recovered on {busy[0]}" if busy else ""

    def _not_stored(self, request: Request) -> str:
        waited = request.id in self.queued and self.core.now >= self.queued[request.id].since + _STORE_S
        plan = self.coordinator
        members = plan.membership.view.members
        late = [m for m in members if (r := plan.reports.of(m)) is not None and r.stored != request.target]
        done = waited or plan.table.applying is not None or request.target == self.core.config
        return "" if done or not late else f"{', '.join(late)} must have stored the configuration first"

    def _busy(self, server: str, name: str) -> bool:
        report = self.coordinator.group_report(server, name)
        return report.state in _BUSY or bool(report.wants) or bool(self.coordinator.order_on_its_way(server, name))

    def add(self, request: Request, why: str) -> None:
        self.queued[request.id] = Queued(request=request, since=self.core.now, why=why)
        patience_s = _STORE_S if request.op == "config_apply" else self.patience_s
        self.core.timers[f"queue {request.id}"] = self.core.now + patience_s

    def overtaken_by(self, request: Request) -> list[Request]:
        """Requests about the same group (or the whole cluster) that waited; they are out of the line."""
        older = [q.request for q in self.queued.values() if _subject(q.request) == _subject(request) != ""]
        for each in older:
            self.leave(each.id)
        return older

    def ready(self, under_way: Collection[str]) -> list[Request]:
        """Those whose way is free now, in the order of their arrival; they are out of the line."""
        free = [q.request for q in self.queued.values() if not self.obstacle(q.request, under_way)]
        for each in free:
            self.leave(each.id)
        return free

    def leave(self, name: str) -> None:
        del self.queued[name]
        self.core.timers.pop(f"queue {name}", None)

    def clear(self) -> None:
        for name in list(self.queued):
            self.leave(name)


def _subject(request: Request) -> str:
    """What a later request may decide anew: a group, or whether the cluster is suspended; "" for none."""
    return "cluster" if request.op in ("cluster_suspend", "cluster_resume") else request.target


def overtakes(later: Request, older: Request) -> bool:
    """Both decide the same, and nothing but the later one may come true."""
    return _subject(later) == _subject(older) == "cluster"
