"""The heartbeats of one simulated server: what it says, whom it hears, and what its detector concludes.

The heartbeat child of a real server is its own process with its own priority: it beats and listens on while the daemon
is dead or hung, and stops only with the machine (or when the whole machine is paused).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from agent.engine import events as ev
from agent.engine.detector import Detector
from agent.engine.verdicts import (
    DeafPeer,
    LeaseHeld,
    LeaseLost,
    PathChanged,
    PeerHeard,
    PeerLost,
    PeerSuspected,
    SelfFence,
    Stalled,
    Starved,
    Verdict,
)
from agent.wire.heartbeat import Packet

if TYPE_CHECKING:
    from agent.sim.machine import Machine
    from agent.sim.network import Network

NEVER = float("inf")
Arrival: TypeAlias = "tuple[Machine, int, Sequence[int]]"  # to whom, in which life, by which paths


class Pulse:
    """Lives as long as the server is on; a new one for each life."""

    def __init__(self, machine: Machine, since: float | None = None) -> None:
        """`since`: by the machine's clock, when it began to listen (now)."""
        cluster = machine.cluster
        self.names = cluster.server_names
        self.machine = machine
        self.judge_at = NEVER
        self.detector = Detector(
            machine.name, cluster.server_names, [h.name for h in cluster.heartbeats],
            machine.world.beat_s, cluster.timeout_s, cluster.majority, machine.clock() if since is None else since,
            incarnation=machine.incarnation,
        )  # fmt: skip

    def start(self) -> None:
        self._beat()
        self.judge()

    def go_on(self) -> None:
        """It has just sent a beat, judged, and told all that it found."""
        self.machine.later(self.machine.world.beat_s, self._beat)
        self._look_again()

    def _beat(self) -> None:
        machine, world = self.machine, self.machine.world
        if machine.pulse is not self:
            return  # Another configuration has other servers.
        packet = self.detector.beat(machine.clock())
        peers = [peer for peer in world.machines.values() if peer.on and peer is not machine]
        if mute := world.configurations.mute:
            peers = [] if machine.keeping.config in mute else [p for p in peers if p.keeping.config not in mute]
        if world.network.calm:  # All arrive at once: one entry of the queue.
            paths = world.network.all_paths
            to: list[Arrival] = [(peer, peer.life, paths) for peer in peers]
        else:
            to = self._through(world.network, packet, peers)
        if to:
            world.after(world.network.delay_s, partial(_arrive, packet, to))
        machine.later(world.beat_s, self._beat)

    def _through(self, network: Network, packet: Packet, peers: Sequence[Machine]) -> list[Arrival]:
        """What arrives at the usual time; what is late is on its way."""
        name, world, together = self.machine.name, self.machine.world, list[Arrival]()
        for peer in peers:
            for path in network.all_paths:
                for delay in network.beat_delays(name, peer.name, path):
                    if delay == network.delay_s:
                        together.append((peer, peer.life, (path,)))
                    else:
                        world.after(delay, partial(_arrive, packet, ((peer, peer.life, (path,)),)))
        return together

    def arrive(self, packet: Packet, paths: Sequence[int], at: float) -> None:
        heard = self.detector.heard
        if len(packet.rows) != len(self.names):
            return  # As the wire refuses it.
        for path in paths:
            if heard(packet, path, at):
                self.judge()

    def arbiter_confirmed(self, name: str, sent_at: float) -> None:
        if self.detector.arbiter_confirmed(name, sent_at):
            self.judge()

    def judge(self) -> None:
        machine, detector = self.machine, self.detector
        if machine.pulse is not self:
            return
        now = machine.clock()
        for verdict in detector.judge(now):
            if isinstance(verdict, SelfFence):
                if machine.world.cluster.self_fencing and machine.holding():
                    machine.fence()
                    return
            else:
                machine.feed(to_event(verdict))
            if not machine.on or machine.pulse is not self:
                return
        self._look_again()

    def _look_again(self) -> None:
        now, at = self.machine.clock(), self.detector.next_deadline()
        if at < self.judge_at or self.judge_at <= now:
            self.judge_at = at
            self.machine.later(at - now, partial(self._judge_due, at))

    def _judge_due(self, at: float) -> None:
        now = self.machine.clock()
        if now >= self.judge_at or self.detector.next_deadline() <= now:
            self.judge()
        elif at == self.judge_at:  # The clock was slowed down meanwhile.
            self.machine.later(at - now, partial(self._judge_due, at))


def _arrive(packet: Packet, to: Sequence[Arrival]) -> None:
    for peer, life, paths in to:
        if peer.life != life:
            continue
        at = peer.clock()
        if peer.paused:
            peer.waiting.append(partial(peer.pulse.arrive, packet, paths, at))
        else:
            peer.pulse.arrive(packet, paths, at)


def to_event(verdict: Verdict) -> ev.Event:
    match verdict:
        case PeerHeard():
            return ev.PeerHeard(server=verdict.server, incarnation=verdict.incarnation, epoch=verdict.epoch,
                                service=verdict.service, config=verdict.config)  # type: ignore[arg-type]  # fmt: skip
        case PeerLost():
            return ev.PeerLost(server=verdict.server, silence_s=verdict.silence_s, promised=dict(verdict.promised))
        case PeerSuspected():
            return ev.PeerSuspected(server=verdict.server, silence_s=verdict.silence_s)
        case PathChanged():
            return ev.PathChanged(server=verdict.server, heartbeat=verdict.heartbeat, ok=verdict.ok,
                                  worst_gap_ms=verdict.worst_gap_ms)  # fmt: skip
        case DeafPeer():
            return ev.DeafPeer(server=verdict.server, silence_s=verdict.silence_s)
        case LeaseLost():
            return ev.LeaseLost(silence_s=verdict.silence_s)
        case LeaseHeld():
            return ev.LeaseHeld()
        case Stalled():
            return ev.Stalled(gap_s=verdict.gap_s)
        case Starved():
            return ev.Starved(late_s=verdict.late_s, extra_s=verdict.extra_s)
    raise AssertionError(verdict)
