"""Orders of the coordinator on their way, and who may hold what: by the members' reports and these orders.

Rules: an order is repeated until its server's report carries its serial. A server that was ordered to start a group
counts as a possible holder until it has answered that order, or a later one: a stop that follows at once may arrive
after the start has been obeyed (seed 45705). `changed` collects the groups of which a report has told something
new, so that nobody has to look at all groups after every event.
"""

from __future__ import annotations

from typing import Literal

from agent.engine.core import NEVER, Core
from agent.engine.membership import Membership
from agent.engine.reports import Reports
from agent.wire.peer import Order
from agent.wire.report import HOLDING, GroupReport

Action = Literal["start", "stop", "give_up"]
_NONE = GroupReport()


class Orders:
    def __init__(self, core: Core, membership: Membership, reports: Reports) -> None:
        self.core = core
        self.membership = membership
        self.reports = reports
        self.sent: dict[tuple[str, str], Order] = {}  # newest order by group and server
        self.to_me: list[Order] = []  # orders for this server, which the engine hands over itself
        self.resend_at = NEVER
        self.serial = 0
        self.changed: set[str] = set()
        self._version = -1  # of the reports as indexed
        self._open: dict[str, dict[str, Order]] = {}  # group -> server -> order not known to be answered
        self._started: set[tuple[str, str]] = set()  # group and server: before that order it was told to start it
        self._read: dict[str, dict[str, GroupReport]] = {}  # server -> its group reports as indexed
        self._holding: dict[str, set[str]] = {}  # group -> servers that report to hold it

    def forget(self) -> None:
        """Orders of an older view are obeyed by nobody."""
        self.sent.clear()
        self._open.clear()
        self._started.clear()

    # Who may hold what ------------------------------------------------------------------------------------------

    def report(self, server: str, name: str) -> GroupReport:
        report = self.reports.of(server)
        return (report.groups.get(name) if report else None) or _NONE

    def on_its_way(self, server: str, name: str) -> Order | None:
        order = self.sent.get((name, server))
        return order if order and self.report(server, name).serial < order.serial else None

    def holders(self, name: str) -> list[str]:
        """Members that hold the group, or may do so at any moment because a start order is on its way to them."""
        self.read()
        found = set(self._holding.get(name, ()))
        for server, order in self._unanswered(name).items():
            if order.action == "start" or (name, server) in self._started:
                found.add(server)
        if len(found) < 2:
            return [s for s in found if s in self.membership.view.members]
        return [s for s in self.membership.view.members if s in found]

    def _unanswered(self, name: str) -> dict[str, Order]:
        waiting = self._open.get(name)
        if not waiting:
            return {}
        for server in [s for s in waiting if self.on_its_way(s, name) is None]:
            del waiting[server]
            self._started.discard((name, server))
        return waiting

    def read(self) -> None:
        """Index what the members have reported since."""
        if self.reports.version == self._version:
            return
        self._version = self.reports.version
        for server, (report, _) in self.reports.known.items():
            known = self._read.get(server, {})
            if report.groups is not known:
                self._index(server, known, report.groups)
                self._read[server] = report.groups

    def _index(self, server: str, old: dict[str, GroupReport], new: dict[str, GroupReport]) -> None:
        for name in old.keys() | new.keys():
            before, after = old.get(name, _NONE), new.get(name, _NONE)
            if before == after:
                continue
            self.changed.add(name)
            if after.serial < before.serial:
                self._reopen(server, name)
            if after.state in HOLDING:
                self._holding.setdefault(name, set()).add(server)
            else:
                self._holding.get(name, set()).discard(server)

    def _reopen(self, server: str, name: str) -> None:
        """Its daemon was restarted and has forgotten what it had answered."""
        order = self.sent.get((name, server))
        if order is not None:
            self._open.setdefault(name, {})[server] = order
            self.wake(self.core.now + self.membership.resend_s)

    # Giving orders ----------------------------------------------------------------------------------------------

    def give(self, server: str, name: str, action: Action, why: str, cause: str) -> int:
        """Returns the serial; 0 when that order is on its way or being obeyed already."""
        waiting = self.sent.get((name, server))
        answered = waiting is None or self.report(server, name).serial >= waiting.serial
        if waiting is not None and waiting.action == action and (not answered or self._under_way(server, name, action)):
            return 0
        if waiting is not None and not answered and waiting.action == "start":
            self._started.add((name, server))
        self.serial += 1
        order = Order(epoch=self.membership.view.epoch, serial=self.serial, group=name, action=action, why=why,
                      cause=cause)  # fmt: skip
        self.sent[name, server] = order
        self._open.setdefault(name, {})[server] = order
        self._deliver(server, order)
        return self.serial

    def again(self, server: str, name: str) -> None:
        """The next order is given even if it repeats the last one."""
        self.sent.pop((name, server), None)

    def _under_way(self, server: str, name: str, action: str) -> bool:
        state = self.report(server, name).state
        return action != "start" and state in ("Offline Pending", "Offline Failure")

    def _deliver(self, server: str, order: Order) -> None:
        if server == self.core.me:
            self.to_me.append(order)
        else:
            self.core.send(server, order)
        self.wake(self.core.now + self.membership.resend_s)

    def wake(self, at: float) -> None:
        self.resend_at = min(self.resend_at, at)

    def resend(self) -> None:
        """Repeat what has not been answered."""
        for name in list(self._open):
            for server, order in list(self._unanswered(name).items()):
                if server in self.membership.view.members:
                    self._deliver(server, order)
            if not self._open[name]:
                del self._open[name]
