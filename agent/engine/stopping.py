"""The end of the cluster service: one server that leaves, the whole cluster that closes, the machine after it."""

from __future__ import annotations

from agent.engine.coordinator import Coordinator
from agent.engine.core import NEVER, Core
from agent.engine.effects import HaltServer
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership
from agent.engine.operations import Operations
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import Halt, Table


class Stopping:
    """`halting` is how this server stops, once nothing is held here; "" while it does not."""

    def __init__(
        self, core: Core, membership: Membership, groups: LocalGroups, coordinator: Coordinator, operations: Operations
    ) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self.coordinator = coordinator
        self.operations = operations
        self.halting = ""
        self._sent_at = -NEVER

    def leave_when_empty(self) -> None:
        """A leaving server stops its service when it holds nothing any more."""
        if self.groups.final.stop_service and self.membership.service == "online":
            self.membership.leave(self.groups.final.stop_service)
            self.groups.final.stop_service = ""
            self.core.touch()
        if self.membership.service != "leaving" or self.groups.holding():
            return
        request = self.operations.leave_request
        if self.membership.in_view and not self._handed_over():
            return
        if request is not None:
            self.operations.leave_request = None
            self.operations.finish(request, f"The cluster service on {self.core.me} has stopped.")
        op = request.op if request else ""
        how = {"server_shutdown": "shutdown", "server_reboot": "reboot"}.get(op, "service")
        self.halt(how, self.membership.leave_note)

    def _handed_over(self) -> bool:
        """As coordinator: does no group still wait for us to order it elsewhere?"""
        if not self.membership.coordinates:
            return True
        return all(self.coordinator.arrived(g) for g in self.core.cluster.groups)

    def close_when_empty(self) -> None:
        """The whole cluster stops: members first, when nothing is held anywhere, then we."""
        table = self.coordinator.table
        if not table.closing:
            return
        # What a crashed member held cannot be stopped any more, and need not be.
        holders = {s for g in self.core.cluster.groups for s in self.coordinator.holders(g.name)}
        if any(s == self.core.me or self._still_in(s) for s in holders):
            return
        how = table.closing_halt or "service"
        left = [m for m in self.membership.view.members if m != self.core.me and self._still_in(m)]
        if not left:
            for waiting in list(self.operations.waiting.values()):
                if waiting.request.op.startswith("cluster_"):
                    self.operations.finish(waiting.request, "The cluster has stopped.")
            self.halt(how, self.operations.close_note)
        elif self.core.now >= self._sent_at + self.membership.resend_s:
            self._sent_at = self.core.now
            self.core.timers["halt"] = self.core.now + self.membership.resend_s
            for member in left:
                self._answer_before_halt(member)
                self.core.send(member, Halt(epoch=self.membership.view.epoch, how=how,
                                            cause=self.operations.close_note))  # fmt: skip

    def members_stop(self) -> bool:
        """The whole cluster stops and its members leave one by one, as told: that asks for no other view, which might
        have no majority any more."""
        if not (self.coordinator.table.closing and self.membership.coordinates):
            return False
        return all(self.membership.peers[m].alive for m in self.membership.view.members if m != self.core.me)

    def _answer_before_halt(self, member: str) -> None:
        """A server that took the request must hear the answer while it still listens to us."""
        for waiting in list(self.operations.waiting.values()):
            if waiting.request.origin == member and waiting.request.op.startswith("cluster_"):
                self.operations.finish(waiting.request, "All groups are stopped; the servers stop now.")

    def _still_in(self, member: str) -> bool:
        peer = self.membership.peers[member]
        return peer.alive and peer.service in ("online", "leaving")

    def halt(self, how: str, cause: str) -> None:
        """Stop the cluster service here (nothing is held), then perhaps the machine."""
        if self.halting:
            return
        self.halting = how
        self.core.note("pm", 2, "server", self.core.me, self.core.me, causes=(cause,))
        self.membership.stop()
        self.coordinator.table = Table(epoch=NO_EPOCH, version=0)
        self.coordinator.orders.forget()
        self.coordinator.reports.suspended = False
        self.core.touch()
        if how != "service":
            self.core.emit(HaltServer(how="reboot" if how == "reboot" else "shutdown", reason="requested"))
