"""A world in which all is well, without playing how it came about: all servers on, in one view, every group where it
belongs.

Booting 32 servers costs seconds of a processor, since each hears of each; a question about one failure shall cost a
few hundredths. So every engine begins as a daemon does that was restarted: it finds its groups running and adopts
them, and all of them hear each other already. The first view is then proposed, promised and installed by the
engines themselves, and the detectors get their evidence in two rounds of beats. tests/agent/sim/test_steady.py
holds that nothing differs afterwards from a world that was booted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.clpconf.model import Cluster
from agent.engine import events as ev
from agent.engine.engine import Engine
from agent.engine.local_state import LocalGroup, LocalResource
from agent.sim.machine import Machine
from agent.sim.pulse import Pulse
from agent.sim.world import Defaults, World
from agent.wire.epoch import Epoch
from agent.wire.peer import GroupRecord, Table

_FIRST = Epoch(1, 0)
_SERIAL = 1
_ROUNDS = 2  # of beats: the second confirms the first
_SLOWEST_BEAT = 0.2  # of the timeout: rarer beats would cost the lease
_STEP_S = 0.01
_LIMIT_S = 5.0
Placement = Mapping[str, str]  # group -> server; a group that is not in it is stopped


class NotSteadyError(AssertionError):
    """The engines did not agree to this placement: it is none that they would come to."""


def steady_world(cluster: Cluster, placement: Placement, defaults: Defaults, seed: int = 0) -> World:
    """Beats are rarer where the configuration has many within a timeout; that changes no decision, and the moment of a
    loss only by the share of a beat."""
    world = World(cluster, seed, defaults, start=False)
    world.gossip = False
    world.beat_s = max(cluster.interval_s, _SLOWEST_BEAT * cluster.timeout_s)
    world.now = 2 * _ROUNDS * max(world.beat_s, cluster.timeout_s)
    table = _table(cluster, placement)
    for machine in world.machines.values():
        _begin(machine, placement, table)
    for machine in world.machines.values():
        for hook in world.power_hooks:
            hook(machine)
        machine.feed(ev.Started(running=dict.fromkeys(machine.hands.active, True)))
    _agree(world)
    _hear(world)
    return world


def _table(cluster: Cluster, placement: Placement) -> dict[str, Any]:
    groups = {}
    for group in cluster.groups:
        goal = placement.get(group.name, "")
        groups[group.name] = GroupRecord(goal=goal, held=not goal, serial=_SERIAL, ordered=goal)
    built: dict[str, Any] = msgspec.to_builtins(Table(epoch=_FIRST, version=1, groups=groups))
    return built


def _begin(machine: Machine, placement: Placement, table: dict[str, Any]) -> None:
    world, cluster = machine.world, machine.world.cluster
    here = [group for group in cluster.groups if placement.get(group.name) == machine.name]
    machine.on = machine.daemon = True
    machine.life = machine.incarnation = 1
    local = {group.name: _running(group.resources, world.now) for group in here}
    machine.saved = {"promised": list(_FIRST), "table": table, "local": {"service": "online", "groups": local}}
    machine.disk = machine.durable_disk = machine.saved
    machine.hands.active.update(resource for group in here for resource in group.resources)
    machine.engine = Engine(cluster, machine.name, 1, machine.saved, world.defaults)
    membership = machine.engine.membership
    membership.lease_held = True
    for peer in membership.peers.values():
        peer.alive = peer.known = True
        peer.incarnation = 1
    machine.pulse = Pulse(machine, machine.clock() - (_ROUNDS + 1) * world.beat_s)


def _running(resources: tuple[str, ...], since: float) -> dict[str, Any]:
    states = {name: LocalResource(state="Online", since=since, wanted=True) for name in resources}
    group = LocalGroup(state="Online", since=since, serial=_SERIAL, start_epoch=_FIRST, start_serial=_SERIAL,
                       resources=states)  # fmt: skip
    built: dict[str, Any] = msgspec.to_builtins(group)
    return built


def _agree(world: World) -> None:
    """Until all have installed one view and nobody has anything to say."""
    everybody, end = world.cluster.server_names, world.now + _LIMIT_S
    engines = [machine.engine for machine in world.machines.values()]
    while world.now < end:
        world.run_until(world.now + _STEP_S)
        if all(e.membership.view.members == everybody for e in engines) and not world.flying:
            break
    else:
        raise NotSteadyError("the servers did not agree on a view")
    epoch = engines[0].membership.view.epoch
    for engine in engines:
        for peer in engine.membership.peers.values():
            peer.epoch = epoch


def _hear(world: World) -> None:
    """Rounds of beats up to now. What the detectors find is what the engines know already."""
    machines, paths = list(world.machines.values()), world.network.all_paths
    for back in reversed(range(_ROUNDS)):
        at = world.now - back * world.beat_s
        packets = [machine.detector.beat(at) for machine in machines]
        for number, machine in enumerate(machines):
            heard = machine.detector.heard
            for packet in packets:
                if packet.sender != number:
                    for path in paths:
                        heard(packet, path, at)
            machine.detector.judge(at)
    for machine in machines:
        machine.pulse.go_on()
