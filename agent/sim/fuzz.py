"""Random faults from a seed, and the promises that must hold through all of them.

One round: all servers start; for a while faults come and go at random (crash, pause, cuts one way and both, splits,
loss, duplicates, slow delivery, failing and sick resources, operator requests); then everything is healed and
switched on, and the cluster must come to rest: every group online on exactly one server, nothing doubly active.

With majority and self-fencing a group must never be active on two servers. Without them a split is possible, and the
product says so; then a doubly active group is accepted only after a fault that separates servers in time or space,
and it must be over soon after the heal.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from agent.clpconf.model import Cluster
from agent.sim.world import Defaults, World
from agent.wire.peer import Request

_QUIET_S = 30.0  # after the heal, at timeouts of a second or so


class Result(NamedTuple):
    seed: int
    violations: list[str]
    digest: str
    simulated_s: float
    steps: int
    lines: list[str]


class Fuzzer:
    """Draws faults for one world. All randomness comes from the seed."""

    def __init__(self, cluster: Cluster, seed: int, defaults: Defaults) -> None:
        self.random = Random(f"faults {seed}")
        self.world = World(cluster, seed, defaults)
        self.world.network.reorders = True
        self.cluster = cluster
        self.names = cluster.server_names
        self.safe = cluster.majority and cluster.self_fencing
        self.separated = False  # a fault came that may split an unsafe cluster
        self.requests = 0
        self.world.promises.may_overlap = lambda group: not self.safe and self.separated

    def play(self, faults_s: float) -> None:
        world = self.world
        world.run_until(self.random.uniform(0.0, 10.0))
        end = world.now + faults_s
        while world.now < end:
            self._fault()
            world.run_until(world.now + self.random.expovariate(1.0 / (2 * self.cluster.timeout_s)))
        self._heal()
        world.run_until(world.now + _QUIET_S * max(1.0, self.cluster.timeout_s))
        self._judge()

    def _fault(self) -> None:
        kinds = (
            (4, self._crash), (3, self._power_on), (3, self._pause), (3, self._resume), (3, self._cut_one_way),
            (2, self._cut_lan), (3, self._split), (4, self._mend), (2, self._weather), (2, self._fail_resource),
            (2, self._sick), (3, self._operator),
        )  # fmt: skip
        kind = self.random.choices([k for _, k in kinds], [w for w, _ in kinds])[0]
        kind()

    def _name(self) -> str:
        return self.random.choice(self.names)

    def _crash(self) -> None:
        self.world.crash(self._name())

    def _power_on(self) -> None:
        self.world.power_on(self._name())

    def _pause(self) -> None:
        self.separated = True
        self.world.pause(self._name())

    def _resume(self) -> None:
        self.world.resume(self._name())

    def _cut_one_way(self) -> None:
        self.separated = True
        a, b = self.random.sample(self.names, 2)
        path = self.random.choice([None, *range(self.world.network.paths)])
        self.world.line(a, "cut", f"towards {b} on path {path}")
        self.world.network.cut(a, b, path)

    def _cut_lan(self) -> None:
        self.separated = True
        server = self.random.choice(["", *self.names])
        path = self.random.randrange(self.world.network.paths)
        self.world.line(server, "cut", f"path {path}")
        self.world.network.cut_lan(path, server)

    def _split(self) -> None:
        self.separated = True
        side = tuple(n for n in self.names if self.random.random() < 0.5)
        self.world.line("", "split", ", ".join(side))
        self.world.network.split(side)

    def _mend(self) -> None:
        self.world.line("", "mend", "network")
        self.world.network.heal()

    def _weather(self) -> None:
        network = self.world.network
        network.loss = self.random.choice([0.0, 0.05, 0.2, 0.4])
        network.duplicates = self.random.choice([0.0, 0.1, 0.5])
        network.jitter_s = self.random.choice([0.002, 0.05, 2 * self.cluster.timeout_s])
        self.separated = self.separated or network.loss > 0.1
        self.world.line("", "weather", f"loss {network.loss}, repeats {network.duplicates}, jitter {network.jitter_s}")

    def _fail_resource(self) -> None:
        resource = self.random.choice(self.cluster.resources).name
        hands = self.world.machines[self._name()].hands
        if self.random.random() < 0.8:
            hands.fail_start[resource] = self.random.randint(1, 4)
        else:
            hands.fail_stop[resource] = self.random.randint(1, 2)

    def _sick(self) -> None:
        for machine in self.world.machines.values():
            if machine.hands.active and self.random.random() < 0.5:
                machine.hands.sick.add(self.random.choice(sorted(machine.hands.active)))

    def _operator(self) -> None:
        self.requests += 1
        group = self.random.choice(self.cluster.groups).name
        op = self.random.choice(["group_start", "group_stop", "group_move", "group_move", "server_stop",
                                 "server_start", "cluster_suspend", "cluster_resume"])  # fmt: skip
        target = self._name() if op.startswith("server") else group if op.startswith("group") else ""
        server = self._name() if op.startswith("group") and self.random.random() < 0.5 else ""
        request = Request(id=f"r{self.requests}", op=op, target=target, server=server, by="fuzz")  # type: ignore[arg-type]
        at = target if op.startswith("server") else self._name()
        self.world.line(at, "operator", f"{op} {target} {server}")
        self.world.ask(at, request)

    def _heal(self) -> None:
        """Everything works again, everybody is asked to go on, every group to start."""
        world = self.world
        world.line("", "heal", "everything")
        world.network.heal()
        for name, machine in world.machines.items():
            machine.hands.fail_start.clear()
            machine.hands.fail_stop.clear()
            machine.hands.sick.clear()
            if machine.on:
                world.resume(name)
            world.power_on(name)
        world.run_until(world.now + 10 * self.cluster.timeout_s)
        for name in self.names:
            world.ask(name, Request(id=f"heal resume {name}", op="cluster_resume"))
        world.run_until(world.now + 10 * self.cluster.timeout_s)
        for number, name in enumerate(self.names):
            world.power_on(name)  # Whatever a final action has shut down.
            world.ask(name, Request(id=f"heal s{number}", op="server_start", target=name))
        world.run_until(world.now + 10 * self.cluster.timeout_s)
        for group in self.cluster.groups:
            world.ask(self.names[0], Request(id=f"heal {group.name}", op="group_start", target=group.name))
        self.separated = False

    def _judge(self) -> None:
        world = self.world
        for group in self.cluster.groups:
            active = world.active_on(group.name)
            if len(active) != 1 or world.online_on(group.name) != active:
                states = {n: m.engine.groups.local[group.name].state for n, m in world.machines.items() if m.on}
                world.promises.violate(f"{group.name} did not come to rest after the heal: active on {active}, {states}")
        views = {(m.engine.report.epoch, m.engine.report.members) for m in world.machines.values() if m.on}
        if len(views) != 1 or not all(m.on for m in world.machines.values()):
            world.promises.violate(f"the servers did not agree on one view after the heal: {sorted(views)}")


def fuzz(cluster: Cluster, seed: int, defaults: Defaults, faults_s: float = 60.0) -> Result:
    """Play one seed to its end."""
    fuzzer = Fuzzer(cluster, seed, defaults)
    fuzzer.play(faults_s * max(1.0, cluster.timeout_s))
    world = fuzzer.world
    return Result(seed, world.violations, world.digest(), world.now, world.steps, world.lines)
