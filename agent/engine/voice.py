"""What the heartbeats of this server say, and the two words of a server that runs nothing though its service is on.

isolated (majority configurations): it hears no majority while others hear it, has lost its lease and stopped
everything. They would wait for it; so it says so. Whoever says the same counts as heard: when a cut ends, all may say
it, and would wait for each other. It only asks to be left out of the next view. The word may be old when it is read (we
may have our lease again, and orders), so that our groups start elsewhere when the lease must have run out, as for a
lost server.

waiting: it holds nothing, belongs to no view and hears servers with another configuration. What is in clp.conf decides
who takes over what: servers that do not agree on it share no view (`Membership.alive`), and one that has nothing yet
starts nothing beside them. The others rely on that word, so that who waits no more says so first, and forms no view of
its own for one timeout (seed 244 of three servers: two that had waited took each other for stopped).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.engine.core import Core
from agent.engine.effects import Beat
from agent.engine.view import Peer
from agent.wire.epoch import NO_EPOCH

if TYPE_CHECKING:
    from agent.engine.membership import Membership

_PRESENT = ("online", "leaving", "waiting", "isolated")


class Voice:
    def __init__(self, core: Core, membership: Membership, peers: Mapping[str, Peer]) -> None:
        self.core = core
        self.membership = membership
        self.peers = peers
        self.isolated = False
        self.waiting = False
        self.holding = False
        self.kept: tuple[str, ...] = ()  # members of the promise of before a restart: their leases go on (switching.py)

    def same_configuration(self, peer: Peer) -> bool:
        return peer.config == self.core.config or not (peer.config and self.core.config)

    def others(self) -> list[str]:
        """Living servers with another configuration."""
        return [
            n for n, p in self.peers.items() if p.alive and p.service in _PRESENT and not self.same_configuration(p)
        ]

    def must_wait(self) -> bool:
        """Form no first view beside servers with another configuration."""
        return not self.holding and bool(self.others())

    def speak(self) -> None:
        """Say what is so, where it was not before."""
        holding = self.holding
        membership = self.membership
        online = membership.service == "online"
        deaf = self.core.cluster.majority and membership.view.epoch != NO_EPOCH
        deaf = deaf and bool(membership.partition.hopeful(membership.alive("isolated")))
        isolated = deaf and not (holding or membership.lease_held) and online
        waiting = online and membership.view.epoch == NO_EPOCH and not membership.frozen and self.must_wait()
        if (isolated, waiting) != (self.isolated, self.waiting):
            if waiting != self.waiting:
                self._tell(waiting)
            if self.waiting and not waiting:
                membership.listen_until = self.core.now + self.core.cluster.timeout_s
                self.core.timers["listen"] = membership.listen_until
            self.isolated, self.waiting = isolated, waiting
            self.beat()

    def _tell(self, waiting: bool) -> None:
        self.core.touch()
        if waiting:
            names = ", ".join(self.others())
            self.core.note("cp", 70, "server", self.core.me, self.core.me, names, rule="one-configuration")

    def beat(self) -> None:
        membership = self.membership
        service = membership.service
        said = (
            service if service != "online" else "isolated" if self.isolated else "waiting" if self.waiting else service
        )
        electorates = membership.partition.ballots.electorates
        if electorates == (self.core.cluster.server_names,):
            electorates = ()
        self.core.emit(Beat(epoch=membership.view.epoch, service=said,
                            members=membership.promised_members or self.kept, electorates=electorates,
                            promised=membership.promised, config=self.core.config))  # fmt: skip
