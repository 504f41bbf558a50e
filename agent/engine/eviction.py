"""Counted out: a peer has installed a newer view than we have promised, so our groups may have been taken over.

We stop them: at once when that peer does not hear us or when we have slept, else after one timeout, which a merge of
the views normally comes before. Not while we are frozen for a change of the configuration: who has a newer view then
counts on nobody whom it hears, and afterwards it is looked at again.
"""

from __future__ import annotations

from agent.engine.core import NEVER, Core
from agent.engine.groups import LocalGroups
from agent.engine.membership import Membership


class Eviction:
    def __init__(self, core: Core, membership: Membership, groups: LocalGroups) -> None:
        self.core = core
        self.membership = membership
        self.groups = groups
        self.at = NEVER
        self.slept = ""  # note of the stall from which we have not recovered yet
        self._note = ""

    def watch(self) -> None:
        """Has somebody installed a view that we have no part in?"""
        holding = self.groups.holding() and not self.membership.frozen
        by = self.membership.evicted_by() if holding else ""
        if not by:
            self.at, self._note = NEVER, ""
            if self.slept and self.core.now >= self.membership.listen_until:
                self.slept = ""
            return
        urgent = self.slept or self.membership.peers[by].deaf
        if self.at == NEVER or (urgent and self.at > self.core.now):
            self.at = self.core.now + (0.0 if urgent else self.core.cluster.timeout_s)
        if urgent:
            self.due()

    def due(self) -> bool:
        """Stop the groups, when it is time; True when that was done."""
        if self.core.now < self.at:
            return False
        self.at = NEVER
        by = self.membership.evicted_by()
        if not by or self._note:
            return False
        peer = self.membership.peers[by]
        self._note = self.core.note("cp", 5, "server", self.core.me, self.core.me, str(peer.epoch), by,
                                    rule="evicted", causes=(self.slept or peer.deaf_note,))  # fmt: skip
        self.groups.stop_all("GROUPFAILOVER", self._note)
        return True
