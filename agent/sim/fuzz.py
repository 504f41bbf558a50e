"""Random faults from a seed, and the promises that must hold through all of them.

One round: all servers start; for a while faults come and go at random (faults.py); then everything is healed and
switched on, and the cluster must come to rest: every group online on exactly one server, nothing doubly active, and so
it must stay for a while.

With majority and self-fencing, or with fencing of every server, a group must never be active on two servers. Without
them a split is possible, and the product says so; then a doubly active group is accepted only after a fault that
separates servers in time or space, and it must be over soon after the heal.

When and by which dice each fault comes is drawn before anything is played, so that a seed that fails can be played
again without some of its faults: `minimise` finds those that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import NamedTuple

from agent.clpconf.model import Cluster, Group
from agent.sim.faults import Faults
from agent.sim.machine import Machine
from agent.sim.switch import Changes
from agent.sim.world import Defaults, World
from agent.wire.peer import Request

FAULTS_S = 30.0  # at timeouts of a second or less
_START_S = 10.0
_HEAL_TIMEOUTS = 10  # so long may each step of the heal take
_REST_TIMEOUTS = 30  # and so long the way to rest
_CALM_TIMEOUTS = 2  # nothing was said for so long: it rests
_STAY_TIMEOUTS = 5  # it must stay at rest
_MOST_REPLAYS = 200  # of one minimisation


class Result(NamedTuple):
    seed: int
    violations: list[str]
    digest: str
    simulated_s: float
    steps: int
    lines: list[str]
    faults: int  # how many came


class Fuzzer:
    """Draws faults for one world. All randomness comes from the seed. `without`: faults that are left out. `strict`: a
    doubly active group is a broken promise also where the configuration promises nothing."""

    def __init__(
        self, cluster: Cluster, seed: int, defaults: Defaults, without: Collection[int] = (), *, strict: bool = False,
        changes: bool = False,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.without = without
        self.random = Random(f"faults {seed}")
        self.world = World(cluster, seed, defaults, start=not changes)
        self.world.network.reorders = True
        self.cluster = cluster
        self.names = cluster.server_names
        self.unit_s = max(1.0, cluster.timeout_s)
        self.safe = is_safe(cluster)
        self.separated = False  # a fault came that may split an unsafe cluster
        self.world.promises.may_overlap = lambda group: not (self.safe or strict) and self.separated
        self.changes = Changes(self) if changes else None
        if changes:
            for name in self.names:
                self.world.power_on(name)
        self.faults = Faults(self)

    def separate(self) -> None:
        self.separated = True

    def play(self, faults_s: float) -> int:
        """Returns how many faults there were."""
        if self.changes is not None:
            times = self.changes.times()
        else:
            times = self._times(self.random.uniform(0.0, _START_S), faults_s)
        for number, at in enumerate(times[:-1]):
            if number not in self.without:
                self.world.run_until(at)
                self.random.seed(f"fault {self.seed} {number}")  # So it is the same one whatever came before.
                if self.changes is None or not self.changes.happen(number):
                    self.faults.happen()
        self.world.run_until(times[-1])
        self._heal()
        self._judge()
        if not self.world.violations:
            self.world.run_until(self.world.now + _STAY_TIMEOUTS * self.cluster.timeout_s)
            self._judge()
        return len(times) - 1

    def _times(self, begin: float, faults_s: float) -> list[float]:
        times, end = [begin], begin + faults_s
        while times[-1] < end:
            times.append(times[-1] + self.random.expovariate(1.0 / (2 * self.cluster.timeout_s)))
        return times

    # After the faults -------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """Everything works again, everybody is asked to go on, every group to start; each step when all is at rest."""
        world = self.world
        world.line("", "heal", "everything")
        world.heal()
        for name in self.names:
            world.resume(name)
            world.power_on(name)
        self._come_to_rest(_HEAL_TIMEOUTS)
        if self.changes is not None:
            self.changes.settle()
        for name in self.names:
            world.ask(name, Request(id=f"heal resume {name}", op="cluster_resume"))
        self._come_to_rest(_HEAL_TIMEOUTS)
        for number, name in enumerate(self.names):
            world.power_on(name)  # Whatever a final action has shut down.
            world.ask(name, Request(id=f"heal s{number}", op="server_start", target=name))
        self._come_to_rest(_HEAL_TIMEOUTS)
        for name in self.names:
            world.power_on(name)
        for group in self._groups():
            world.ask(self.names[0], Request(id=f"heal {group.name}", op="group_start", target=group.name))
        self.separated = False
        self._come_to_rest(_REST_TIMEOUTS)

    def _come_to_rest(self, timeouts: float) -> None:
        """Until nobody has said anything for a while and nobody waits for anything soon; or to the limit."""
        world, calm_s = self.world, _CALM_TIMEOUTS * self.cluster.timeout_s
        end = world.now + timeouts * self.unit_s
        world.run_until(world.now + calm_s)
        while world.now < end or world.acts():  # A script may run to its own timeout.
            if world.rows[-1][0] <= world.now - calm_s and not world.waits_for_something(calm_s):
                return
            world.run_until(world.now + calm_s / 4)

    def _groups(self) -> Sequence[Group]:
        return self.world.machines[self.names[0]].cluster.groups

    def _judge(self) -> None:
        world = self.world
        if self.changes is not None:
            self.changes.judge()
        for group in self._groups():
            active = world.active_on(group.name)
            if len(active) != 1 or world.online_on(group.name) != active:
                states = {n: _state(m, group.name) for n, m in world.machines.items() if m.on}
                text = f"{group.name} did not come to rest after the heal: active on {active}, {states}"
                world.promises.violate(text)
        views = {(m.engine.report.epoch, m.engine.report.members) for m in world.machines.values() if m.on}
        if len(views) != 1 or not all(m.on for m in world.machines.values()):
            world.promises.violate(f"the servers did not agree on one view after the heal: {sorted(views)}")


def _state(machine: Machine, group: str) -> str:
    local = machine.engine.groups.local.get(group)
    return local.state if local is not None else "unknown"


def is_safe(cluster: Cluster) -> bool:
    """A group can never be active on two servers: a lease with a watchdog behind it, or nobody is replaced before it
    was forced off."""
    fenced = all(cluster.fences_against(name) for name in cluster.server_names)
    return (cluster.majority and cluster.self_fencing) or fenced


def fuzz(
    cluster: Cluster, seed: int, defaults: Defaults, faults_s: float = FAULTS_S, without: Collection[int] = (),
    *, strict: bool = False, changes: bool = False,
) -> Result:  # fmt: skip
    """Play one seed to its end. `faults_s` is for timeouts of a second or less, and grows with longer ones. `changes`:
    operators change the configuration meanwhile."""
    fuzzer = Fuzzer(cluster, seed, defaults, without, strict=strict, changes=changes)
    count = fuzzer.play(faults_s * fuzzer.unit_s)
    world = fuzzer.world
    return Result(seed, world.violations, world.digest(), world.now, world.steps, world.lines, count)


def minimise(fails: Callable[[frozenset[int]], bool], faults: int) -> frozenset[int]:
    """Faults that can be left out together while it still fails: halves first, then ever smaller pieces."""
    without: frozenset[int] = frozenset()
    size, left = max(1, faults // 2), _MOST_REPLAYS
    while True:
        kept = [n for n in range(faults) if n not in without]
        for first in range(0, len(kept), size):
            more = without | frozenset(kept[first : first + size])
            left -= 1
            if left < 0:
                return without
            if fails(more):
                without = more
        if size == 1:
            return without
        size //= 2
