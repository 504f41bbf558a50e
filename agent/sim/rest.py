"""Is a simulated cluster at rest? Nothing is under way, nobody waits for anything soon, and everybody knows the truth.

So a play can be ended as soon as its story is over, instead of after a time that is long enough for every story.
"""

from __future__ import annotations

from agent.sim.machine import Machine
from agent.sim.world import World

_HORIZON_TIMEOUTS = 5.0  # longer waits (quarantine, failback) are another story
_SILENT_TIMEOUTS = 6.0
_IDLE_TIMERS = ("vouched", "ceiling")  # they end without anything following
_CUT_TIMEOUTS = 2.5  # leases end and deafness shows so long after a cut


def at_rest(world: World, disturbed_at: float) -> bool:
    """`disturbed_at`: when the last fault came."""
    quiet_s = world.now - max(disturbed_at, world.rows[-1][0] if world.rows else 0.0)
    if quiet_s > _SILENT_TIMEOUTS * world.cluster.timeout_s and not any(map(_acts, world.machines.values())):
        return True  # What still goes on (a question that an arbiter never answers) only repeats itself.
    if world.flying:
        return False
    cut = world.network.cuts or world.resolvers.cuts or world.resolvers.down
    if cut and world.now < disturbed_at + _CUT_TIMEOUTS * world.cluster.timeout_s:
        return False
    return all(_idle(machine) for machine in world.machines.values()) and _know_each_other(world)


def _acts(machine: Machine) -> bool:
    """A script or a shot is under way, a server or daemon starts, a monitor has something to say."""
    if machine.hands.running or machine.boots or (machine.on and not machine.daemon):
        return True
    if not machine.on or machine.paused:
        return False
    shots = any(shot.token for shot in machine.engine.fencing.rounds.values())
    return shots or any(map(machine.will_complain, machine.monitors))


def _idle(machine: Machine) -> bool:
    if _acts(machine):
        return False
    if not machine.on or machine.paused:
        return True
    soon = machine.clock() + _HORIZON_TIMEOUTS * machine.world.cluster.timeout_s
    waits = machine.engine.deadlines().items()
    return not any(at < soon and not name.startswith(_IDLE_TIMERS) for name, at in waits)


def _know_each_other(world: World) -> bool:
    """Who is heard is there, directly or by the word of another; who is not heard is lost."""
    there = {name for name, machine in world.machines.items() if machine.on and not machine.paused}
    hears = {name: {o for o in there if o != name and world.network.opens(o, name)} for name in there}
    for name in there:
        expected = hears[name].union(*(hears[o] for o in hears[name])) - {name} if world.network.cuts else hears[name]
        if world.machines[name].detector.daemon_ages().keys() != expected:
            return False
    return True
