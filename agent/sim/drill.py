"""A drill on a pretend machine: the failure, and its end by the machine's own clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.engine.effects import BeginDrill, EndDrill
from agent.wire.drill import BEGINS_S

if TYPE_CHECKING:
    from agent.sim.machine import Machine


def begin(machine: Machine, effect: BeginDrill) -> None:
    world, drill, name = machine.world, effect.drill, machine.name
    life = machine.life

    def fail() -> None:
        if machine.life != life:
            return
        if drill.kind == "crash":
            world.crash(name)
            machine.boot(drill.bound_s)
        else:
            world.pause(name)
            world.after(drill.bound_s, lambda: _wake(machine, life))

    if drill.kind in ("crash", "hang"):
        world.after(BEGINS_S, fail)
        return
    for heartbeat in world.cluster.heartbeats:
        if not drill.heartbeats or heartbeat.name in drill.heartbeats:
            world.network.cut_lan(world.cluster.heartbeats.index(heartbeat), name)
    world.after(drill.bound_s, world.network.heal)


def _wake(machine: Machine, life: int) -> None:
    if machine.life == life and machine.paused:
        machine.world.resume(machine.name)


def end(machine: Machine, effect: EndDrill) -> None:
    """Of a cut, when it is ended before its time; a machine that stands still hears the word all the same."""
    machine.world.network.heal()
    target = machine.world.machines[effect.server]
    if target.paused:
        _wake(target, target.life)
