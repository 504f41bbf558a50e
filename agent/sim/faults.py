"""The faults that the fuzzer draws: each happens to a running world, with nothing random but what the fuzzer gives.

Faults after which servers may rightly believe different things (cuts, pauses, loss, drift) are told to the fuzzer by
`separate`: a cluster without majority and self-fencing may then run a group twice, and says so.

Others add theirs to `PLUGINS`: a function of the fuzzer that gives (weight, fault) pairs; none where they do not apply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.sim import arbiter, fence
from agent.wire.peer import Request

if TYPE_CHECKING:
    from agent.sim.fuzz import Fuzzer

Weighted = tuple[int, Callable[[], None]]
PLUGINS: tuple[Callable[[Fuzzer], list[Weighted]], ...] = (arbiter.faults, fence.faults)

_DRIFT = 0.005  # ten times what a bad quartz does
_WALL_S = 3.0e5
_OPERATIONS = ("group_start", "group_stop", "group_move", "group_move", "server_stop", "server_start",
               "cluster_suspend", "cluster_resume")  # fmt: skip


class Faults:
    """All kinds with their weights, for one fuzzer."""

    def __init__(self, fuzzer: Fuzzer) -> None:
        self.fuzzer = fuzzer
        self.world = fuzzer.world
        self.cluster = fuzzer.cluster
        self.random = fuzzer.random
        self.names = fuzzer.cluster.server_names
        self.requests = 0
        own = (
            (4, self._crash), (3, self._power_on), (2, self._reboot), (3, self._pause), (3, self._resume),
            (3, self._kill_daemon), (3, self._cut_one_way), (2, self._cut_lan), (3, self._split), (4, self._mend),
            (2, self._weather), (1, self._drift), (1, self._step), (2, self._fail), (2, self._slow), (2, self._sick),
            (3, self._operator),
        )  # fmt: skip
        more = [pair for plugin in PLUGINS for pair in plugin(fuzzer)]
        more += fuzzer.changes.faults() if fuzzer.changes is not None else []
        self.weights, self.kinds = zip(*own, *more, strict=True)

    def happen(self) -> None:
        """One of them."""
        self.random.choices(self.kinds, self.weights)[0]()

    def _name(self) -> str:
        return self.random.choice(self.names)

    # Servers ----------------------------------------------------------------------------------------------------

    def _crash(self) -> None:
        self.world.crash(self._name())

    def _power_on(self) -> None:
        self.world.power_on(self._name())

    def _reboot(self) -> None:
        """Fast enough, now and then, that nobody has missed it."""
        name, off_s = self._name(), self.random.choice([0.05, 0.5, 3.0]) * self.cluster.timeout_s
        self.world.crash(name)
        self.world.after(off_s, lambda: self.world.power_on(name))

    def _pause(self) -> None:
        self.fuzzer.separate()
        self.world.pause(self._name())

    def _resume(self) -> None:
        self.world.resume(self._name())

    def _kill_daemon(self) -> None:
        """Its supervisor starts it again within the grace; on the way it hears and does nothing."""
        self.fuzzer.separate()
        self.world.kill_daemon(self._name(), self.random.choice([0.05, 0.3, 0.9]) * self.cluster.grace_s)

    def _drift(self) -> None:
        """A quartz that is out of its range: small beside the margins of the lease, large beside real ones."""
        name, rate = self._name(), 1.0 + self.random.uniform(-_DRIFT, _DRIFT)
        self.world.line(name, "clock", f"goes {(rate - 1) * 1e6:+.0f} ppm")
        self.world.machines[name].drift(rate)

    def _step(self) -> None:
        """The wall clock is put right or wrong. Steady clocks know nothing of it until the next boot."""
        name, at = self._name(), self.random.uniform(0.0, _WALL_S)
        self.world.line(name, "clock", f"shows {at:.0f} s at its next boot")
        self.world.machines[name].next_origin = at

    # Network ----------------------------------------------------------------------------------------------------

    def _cut_one_way(self) -> None:
        self.fuzzer.separate()
        a, b = self.random.sample(self.names, 2)
        path = self.random.choice([None, *self.world.network.all_paths])
        self.world.line(a, "cut", f"towards {b} on {'all paths' if path is None else f'path {path}'}")
        self.world.network.cut(a, b, path)

    def _cut_lan(self) -> None:
        self.fuzzer.separate()
        server = self.random.choice(["", *self.names])
        path = self.random.choice(self.world.network.all_paths)
        self.world.line(server, "cut", f"path {path}")
        self.world.network.cut_lan(path, server)

    def _split(self) -> None:
        self.fuzzer.separate()
        side = tuple(n for n in self.names if self.random.random() < 0.5)
        self.world.line("", "split", ", ".join(side))
        self.world.network.split(side)

    def _mend(self) -> None:
        self.world.line("", "mend", "network")
        self.world.network.heal()

    def _weather(self) -> None:
        network, timeout_s = self.world.network, self.cluster.timeout_s
        network.loss = self.random.choice([0.0, 0.05, 0.2, 0.4])
        network.duplicates = self.random.choice([0.0, 0.1, 0.5])
        network.jitter_s = self.random.choice([0.002, 0.05 * timeout_s, 2 * timeout_s])
        network.beat_jitter_s = self.random.choice([0.0, 0.0, 0.1 * timeout_s, 0.5 * timeout_s])
        if network.loss > 0.1 or network.beat_jitter_s > 0.2 * timeout_s:
            self.fuzzer.separate()
        text = f"loss {network.loss}, repeats {network.duplicates}, jitter {network.jitter_s} s"
        self.world.line("", "weather", f"{text}, of heartbeats {network.beat_jitter_s} s")

    # Resources --------------------------------------------------------------------------------------------------

    def _resource(self) -> str:
        return self.random.choice(self.cluster.resources).name

    def _fail(self) -> None:
        name, resource = self._name(), self._resource()
        hands = self.world.machines[name].hands
        if self.random.random() < 0.8:
            hands.fail_start[resource] = self.random.randint(1, 4)
        else:
            hands.fail_stop[resource] = self.random.randint(1, 2)
        self.world.line(name, "hands", f"{resource} fails")

    def _slow(self) -> None:
        """Now and then slower than its timeout allows."""
        name, resource = self._name(), self.cluster.resource(self._resource())
        hands, share = self.world.machines[name].hands, self.random.choice([0.1, 0.9, 1.5])
        if self.random.random() < 0.7:
            hands.slow_start[resource.name] = share * resource.activation.timeout_s
        else:
            hands.slow_stop[resource.name] = share * resource.deactivation.timeout_s
        self.world.line(name, "hands", f"{resource.name} takes {share} of its timeout")

    def _sick(self) -> None:
        for name, machine in self.world.machines.items():
            if machine.hands.active and self.random.random() < 0.5:
                resource = self.random.choice(sorted(machine.hands.active))
                machine.hands.sick.add(resource)
                self.world.line(name, "hands", f"{resource} is sick")

    # Operators --------------------------------------------------------------------------------------------------

    def _operator(self) -> None:
        self.requests += 1
        op = self.random.choice(_OPERATIONS)
        group = self.random.choice(self.cluster.groups).name if self.cluster.groups else ""
        target = self._name() if op.startswith("server") else group if op.startswith("group") else ""
        server = self._name() if op.startswith("group") and self.random.random() < 0.5 else ""
        request = Request(id=f"r{self.requests}", op=op, target=target, server=server, by="fuzz")  # type: ignore[arg-type]
        at = target if op.startswith("server") else self._name()
        self.world.line(at, "operator", f"{op} {target} {server}")
        self.world.ask(at, request)
