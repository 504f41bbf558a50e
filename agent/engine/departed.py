"""When a server that is not in the view has certainly stopped what it ran.

With leases: agent/engine/membership.py, its head. Where a fence device covers the server, its word counts as well, and
without leases only its word. Where the configuration gives nothing, the timeout must do, and the console says so.

From when on? A promise tells how long its member has not heard the server, and what the promise was on its way must be
added to the wait. The heartbeats know it better. One that names the promised view was sent after that promise: from
then on its sender confirms no lease of the server, and what it had confirmed before it had heard not later than the
heartbeat says. So where the newest heartbeat of each member is such a one and it had not heard the server for the
timeout either (PeerLost.promised), the server has certainly stopped when it is lost, and not some milliseconds later.

Where the electorate follows the view, the view after the next may need the votes of few: then who votes there says
nothing about what confirmed the leases of before. So each member remembers, until then, when a server that was left
out has certainly stopped (`owed`), and tells it with its promises.

There an electorate that grows has confirmed nothing yet: it takes the lease of each server over as it stood when that
server promised the view (detector.py), else a survivor would be reset the moment that another server joins (seeds
42380 and 53453). So whoever has promised or installed a view with a server owes it one timeout from then on, whatever
its ears say; and where a view that we have not installed was in force by the word of others, one timeout from now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from agent.engine.continuity import Continuity, before
from agent.engine.core import NEVER, Core
from agent.engine.partition import Partition
from agent.engine.quorum import in_force
from agent.engine.view import Peer, Proposal, View
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Ballot

STOPPED = ("stopped", "released", "waiting")  # what a server says that certainly runs nothing


class Departed:
    def __init__(self, core: Core, partition: Partition, peers: Mapping[str, Peer]) -> None:
        self.core = core
        self.partition = partition
        self.peers = peers
        self.wait_until = NEVER  # then servers that were never heard count as absent
        self.gone_at: dict[str, float] = {}  # lost server -> when it has certainly stopped
        self.owed: dict[str, float] = {}  # server left out of a view -> when its lease has ended, by that view
        self.sworn_off: set[str] = set()  # the operator has said that they are off; until they are heard
        self.fenced: Callable[[str], bool] = lambda _server: False  # certainly off (fencing.py)
        self.covered: Callable[[str], bool] = lambda _server: False  # some fence device can force it off
        self.continuity = Continuity()  # of this server itself
        self.disarmed = False  # by the operator: neither fencing nor watchdogs work

    def plan(self, proposal: Proposal) -> None:
        """From when on is each server outside of the new view certainly stopped (lease configurations)?"""
        timeout = self.core.cluster.timeout_s
        for server in self.core.cluster.server_names:
            self.gone_at.pop(server, None)
            if server in proposal.members:
                continue
            sure = [self.partition.gone_since(proposal.epoch, server), self._unseen(proposal, server)]
            for member, promise in proposal.promises.items():
                silent_s = promise.silent_s.get(server, 0.0)
                if server in promise.report.lost or self._excluded(proposal, member, server):
                    silent_s = timeout
                wait_s = max(0.0, timeout - silent_s, promise.owed_s.get(server, 0.0))
                sure.append(proposal.received[member] + wait_s)
            self.gone_at[server] = max(sure)
            if self.gone_at[server] > self.core.now:
                self.core.timers[f"gone {server}"] = self.gone_at[server]

    def _excluded(self, proposal: Proposal, member: str, server: str) -> bool:
        """Has the member said by its heartbeats that it confirms that server's lease no more, and had it not heard it
        for the timeout when our heartbeat child lost it? The child knows it to a fraction of a millisecond; how long a
        promise is on its way we have to add to the wait."""
        if not self.peers[server].lost:
            return False
        return member == self.core.me or self.peers[server].excluded.get(member) == proposal.epoch

    def _unseen(self, proposal: Proposal, server: str) -> float:
        """Was the server a voter of a view that others know to have been in force, and we never installed?"""
        if not self.core.cluster.arbiters:
            return 0.0
        ballots = self._ballots(proposal)
        newest = in_force(self.partition.ballots.known)
        seen = newest.epoch if newest else NO_EPOCH
        unseen = any(b.in_force and b.epoch > seen and server in b.voters for b in ballots)
        return self.core.now + self.core.cluster.timeout_s if unseen else 0.0

    def _ballots(self, proposal: Proposal) -> list[Ballot]:
        """All that its members and the arbiter know of."""
        answer = self.partition.granted(proposal.epoch)
        ballots = [b for promise in proposal.promises.values() for b in promise.ballots]
        return [*ballots, *(answer.ballots if answer is not None else ())]

    def before(self, proposal: Proposal) -> Epoch:
        """The newest view that may have been in force until now."""
        return before(self.core.cluster, proposal, self._ballots(proposal) if self.core.cluster.arbiters else [])

    def promised(self, members: Collection[str]) -> None:
        """We have promised a view of these."""
        if self.core.cluster.arbiters:
            until = self.core.now + self.core.cluster.timeout_s
            self.owed.update({m: max(until, self.owed.get(m, 0.0)) for m in members if m != self.core.me})

    def installed(self, before: View, view: View) -> None:
        """`before`: the view that was in force here until now."""
        if not self.core.cluster.arbiters:
            return
        self.promised(view.members)
        for server in set(before.members) - set(view.members):
            # Whoever has put the view in force knows it better.
            own = self.gone_at.get(server) if view.coordinator == self.core.me else None
            until = self.core.now + self.core.cluster.timeout_s if own is None else own
            self.owed[server] = max(until, self.owed.get(server, 0.0))

    # Over a restart of the daemon.
    def saved(self) -> dict[str, Any]:
        return {"owed": dict(self.owed), "views": self.continuity.saved()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.owed.update(saved.get("owed", {}))
        self.continuity.restore(saved.get("views", {}))

    def told(self) -> dict[str, Any]:
        """Of a promise."""
        return {"owed_s": self.owed_s(), "views": self.continuity.views}

    def owed_s(self) -> dict[str, float]:
        return {server: until - self.core.now for server, until in self.owed.items() if until > self.core.now}

    def gone(self, server: str) -> bool:
        peer = self.peers[server]
        if peer.alive and peer.service in STOPPED:
            return self.core.now >= peer.vouched_until
        if peer.alive and peer.service != "isolated":
            return False
        if self.fenced(server) or server in self.sworn_off:
            return True
        # A server that hangs lets its lease run out and holds on: without a watchdog of its own, force must prove it.
        covered = self.covered(server)
        if self.disarmed and (covered or self.core.cluster.self_fencing):
            return False
        if self.core.cluster.majority:
            proves = self.core.cluster.self_fencing or peer.alive or not covered
            return proves and self.gone_at.get(server, NEVER) <= self.core.now
        if covered:
            return False
        return peer.lost or (not peer.known and self.core.now >= self.wait_until)
