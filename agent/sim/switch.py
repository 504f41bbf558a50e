"""Changes of the configuration in a simulated world: what a server stores, switches to and keeps on its disk.

A world that was made with a name for its configuration (`Configurations.begin`) can be offered others. Nobody hears a
server that runs one of the `mute` ones, and it hears nobody: the wrong address, or the wrong NIC.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from agent.clpconf.model import Cluster
from agent.engine import events as ev
from agent.engine.effects import KeepConfiguration, SwitchConfiguration
from agent.wire.peer import Request
from agent.wire.switch import ID_HEX, Stored, Switch

if TYPE_CHECKING:
    from agent.sim.fuzz import Fuzzer
    from agent.sim.machine import Machine
    from agent.sim.world import World

_EXCHANGE_S = (0.05, 0.3, 2.0)
_SETTLE_S = 120.0
_QUIET_S = 12.0
_CHANGES = 3
Weighted = tuple[int, Callable[[], None]]


def name_of(cluster: Cluster) -> str:
    """Stands for config_id where there is no clp.conf."""
    return sha256(msgspec.json.encode(cluster)).hexdigest()[:ID_HEX]


class Keeping:
    """What one server has on its disk of its configurations."""

    def __init__(self) -> None:
        self.config = ""
        self.switch: Switch | None = None
        self.stored: Stored | None = None
        self.fails = 0  # so many of its next exchanges

    def boot(self) -> None:
        """A new incarnation never runs what is not confirmed."""
        if self.switch is not None and self.switch.state == "trying":
            self.config = self.switch.origin
            self.switch = replace(self.switch, state="returned", reason="the server was started again")
        self.stored = None


class Configurations:
    def __init__(self, world: World) -> None:
        self.world = world
        self.clusters: dict[str, Cluster] = {}
        self.mute: set[str] = set()

    def begin(self, cluster: Cluster) -> None:
        """Before the first server is switched on: they tell each other which configuration they run."""
        config = self.offer(cluster)
        for machine in self.world.machines.values():
            machine.keeping.config = config

    def offer(self, cluster: Cluster, *, mute: bool = False) -> str:
        config = name_of(cluster)
        self.clusters[config] = cluster
        if mute:
            self.mute.add(config)
        for machine in self.world.machines.values():
            machine.hands.group_of.update({r: g.name for g in cluster.groups for r in g.resources})
        return config

    def store(self, server: str, config: str, groups: tuple[str, ...] = (), servers: tuple[str, ...] = ()) -> None:
        machine = self.world.machines[server]
        if machine.on and not machine.paused and machine.keeping.config:
            machine.keeping.stored = Stored(config=config, key=config, groups=groups, servers=servers)
            machine.feed(ev.ConfigurationStored(stored=machine.keeping.stored))

    def settled(self) -> bool:
        """Nobody is on the way to another configuration."""
        for machine in self.world.machines.values():
            if machine.on and (not machine.daemon or machine.engine.membership.frozen):
                return False
            if machine.on and machine.engine.table.applying is not None:
                return False
            if machine.keeping.switch is not None and machine.keeping.switch.state == "trying":
                return False
        return len({m.keeping.config for m in self.world.machines.values()}) == 1


def carry_out(machine: Machine, effect: SwitchConfiguration) -> None:
    switch, keeping, world = effect.switch, machine.keeping, machine.world
    if keeping.fails:
        keeping.fails -= 1
        machine.later(0.1, lambda: machine.feed(ev.SwitchFailed(id=switch.id, detail="the disk is full")))
        return
    world.line(machine.name, "switch", f"{switch.state}: {switch.runs}")
    keeping.switch = switch
    keeping.config = switch.runs
    machine.kill_daemon()
    machine.later(machine.random.choice(_EXCHANGE_S), partial(_begin_anew, machine))


def _begin_anew(machine: Machine) -> None:
    machine.hear_as_configured()
    machine.world.start_daemon(machine.name)


def keep(machine: Machine, effect: KeepConfiguration) -> None:
    machine.keeping.switch = effect.switch


# Faults --------------------------------------------------------------------------------------------------------


class Changes:
    """Operators who change the configuration while everything else happens."""

    def __init__(self, fuzzer: Fuzzer) -> None:
        self.fuzzer = fuzzer
        self.world = fuzzer.world
        self.random = fuzzer.random
        configurations = self.world.configurations
        first = fuzzer.cluster
        configurations.begin(first)
        longer = replace(first, monitors=tuple(replace(m, interval_s=m.interval_s + 1) for m in first.monitors))
        other = replace(first, comment="another address", groups=(*first.groups[:1], *first.groups[1:]))
        fewer = _without_last_group(first)
        names = tuple(group.name for group in first.groups)
        self.choices = (
            (name_of(first), names), (configurations.offer(longer), ()), (configurations.offer(other), names[:1]),
            (configurations.offer(fewer), names[-1:]),
            (configurations.offer(replace(first, comment="wrong NIC"), mute=True), ()),
        )  # fmt: skip
        self.count = 0
        self._begin: list[int] = []

    def times(self) -> list[float]:
        """Some changes, each in a quiet cluster, and faults about then."""
        at, times = 0.0, list[float]()
        for _ in range(_CHANGES):
            at += self.random.uniform(0.0, 5.0)
            self._begin.append(len(times))
            times += [at, at + _QUIET_S]
            for _ in range(self.random.choice([0, 1, 1, 2, 3])):
                times.append(times[-1] + self.random.expovariate(self.random.choice([0.1, 1.0, 5.0])))
            at = times[-1] + self.random.choice([0.0, 10.0, 30.0])
        return [*times, at + 1.0]

    def happen(self, number: int) -> bool:
        """Is this the begin of a change? What was broken before was mended some time ago."""
        if number - 1 in self._begin:
            self._apply()
            return True
        if number in self._begin:
            self.world.heal()
            for name in self.fuzzer.names:
                self.world.resume(name)
                self.world.power_on(name)
                self.world.ask(name, Request(id=f"mend {number} {name}", op="server_start", target=name))
            self.world.ask(self.fuzzer.names[0], Request(id=f"mend {number}", op="cluster_resume"))
            return True
        return False

    def faults(self) -> list[Weighted]:
        return [(1, self._apply), (8, self._confirm), (2, self._return), (2, self._full_disk)]

    def _apply(self) -> None:
        config, groups = self.random.choice(self.choices)
        self.count += 1
        if config in self.world.configurations.mute:
            self.fuzzer.separate()  # Where nobody hears the others, only a lease or force keeps them apart.
        server, confirm_s = self.random.choice(self.fuzzer.names), self.random.choice([0.0, 2.0, 15.0])
        for name in self.fuzzer.names:
            if self.random.random() < 0.98:
                self.world.configurations.store(name, config, groups)
        self.world.line(server, "operator", f"config_apply {config}, to be confirmed within {confirm_s} s")
        request = Request(id=f"change {self.count}", op="config_apply", target=config, by="fuzz", confirm_s=confirm_s,
                          health=self.random.random() < 0.3)  # fmt: skip
        self.world.after(0.05, partial(self.world.ask, server, request))

    def _confirm(self) -> None:
        self._ask("config_confirm")

    def _return(self) -> None:
        self._ask("config_return")

    def _ask(self, op: str) -> None:
        self.count += 1
        server = self.random.choice(self.fuzzer.names)
        self.world.line(server, "operator", op)
        self.world.ask(server, Request(id=f"{op} {self.count}", op=op, by="fuzz"))  # type: ignore[arg-type]

    def _full_disk(self) -> None:
        self.world.machines[self.random.choice(self.fuzzer.names)].keeping.fails = self.random.choice([1, 2])

    def settle(self) -> None:
        """After the heal every change comes to its end by itself, and all run the same."""
        world = self.world
        for machine in world.machines.values():
            machine.keeping.fails = 0
        end = world.now + _SETTLE_S
        while world.now < end and not world.configurations.settled():
            world.run_until(world.now + 1.0)

    def judge(self) -> None:
        found = {m.name: m.keeping.config for m in self.world.machines.values()}
        if len(set(found.values())) > 1 or not self.world.configurations.settled():
            self.world.promises.violate(f"the servers did not come to one configuration after the heal: {found}")


def _without_last_group(cluster: Cluster) -> Cluster:
    gone = set(cluster.groups[-1].resources)
    return replace(
        cluster, comment="without the last group", groups=cluster.groups[:-1],
        resources=tuple(r for r in cluster.resources if r.name not in gone),
        monitors=tuple(m for m in cluster.monitors if m.target not in gone),
    )  # fmt: skip
