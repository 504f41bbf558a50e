"""Pretend arbiters and ping targets: the witness' own mind behind a pretend network, reached by each server or not.

Each server has one path to each resolver, apart from the LANs; `cut` takes it away. The witness keeps its record
through `restart` and forgets whom it heard, as the real one does. Two copies of the question may come, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agent.clpconf.model import Cluster, PartitionResolver
from agent.engine.effects import AskArbiter
from agent.engine.engine import Engine
from agent.engine.events import ArbiterAnswer, ResolverState
from agent.sim.machine import CARRIERS, Machine
from agent.wire import witness as wire
from agent.wire.peer import Ballot
from agent.witness.mind import Promise, Witness

if TYPE_CHECKING:
    from agent.sim.fuzz import Fuzzer
    from agent.sim.world import World

_DELAY_S = 0.002


class Resolvers:
    """`cuts`: (server, resolver) that do not reach each other; `down`: resolvers that nobody reaches."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"resolvers {world.seed}")
        self.cuts: set[tuple[str, str]] = set()
        self.down: set[str] = set()
        self.promises: dict[str, Promise] = {}
        self.minds = {name: self._fresh(name, 0) for name in world.cluster.arbiters}
        self.lives = 0
        self.seq = 0
        if world.cluster.resolvers:
            world.power_hooks.append(self._power)

    def _fresh(self, name: str, life: int) -> Witness:
        return Witness(self.promises.get(name, Promise()), self.world.now, str(life))

    def restart(self, name: str) -> None:
        """The witness dies and comes back: its record is on disk, whom it heard is not."""
        self.lives += 1
        self.promises[name] = self.minds[name].promise
        self.minds[name] = self._fresh(name, self.lives)

    def heal(self) -> None:
        self.cuts.clear()
        self.down.clear()

    def reaches(self, server: str, name: str) -> bool:
        return name not in self.down and (server, name) not in self.cuts

    # What a server does ---------------------------------------------------------------------------------------------

    def _power(self, machine: Machine) -> None:
        if machine.on:
            for name in (*self.world.cluster.pings, *self.world.cluster.arbiters):
                _Client(self, machine, name).look()

    def ask(self, machine: Machine, effect: AskArbiter) -> None:
        """Carry out AskArbiter: to the arbiter and back, each way may fail."""
        engine, mind = machine.engine, self.minds[effect.name]

        def arrive() -> None:
            if not self.reaches(machine.name, effect.name) or self.minds[effect.name] is not mind:
                return
            self.seq += 1
            question = wire.Ask(machine.name, machine.incarnation, self.seq, mind.life,
                                self.world.cluster.timeout_s, effect.epoch, effect.members, effect.voters,
                                in_force=effect.in_force)  # fmt: skip
            answer, keep = mind.propose(question, self.world.now)
            if keep is not None:
                mind.keep(keep)
            self.world.after(self._delay(), lambda: back(answer))

        def back(answer: wire.Answer) -> None:
            if machine.on and self.reaches(machine.name, effect.name):
                machine.later(0.0, lambda: _answer(machine, engine, effect, answer))

        self.world.after(self._delay(), arrive)

    def _delay(self) -> float:
        return _DELAY_S * (0.5 + self.random.random())


class _Client:
    """One server's path to one resolver, in one life of the server: beats, confirmations, is it reached."""

    def __init__(self, resolvers: Resolvers, machine: Machine, name: str) -> None:
        self.resolvers = resolvers
        self.machine = machine
        self.name = name
        self.life = machine.life
        self.world = resolvers.world
        self.engine: object = None
        self.told: bool | None = None
        self.silent_since = 0.0

    def look(self) -> None:
        """Now and each interval: a beat to an arbiter, a ping to a target."""
        machine, world = self.machine, self.world
        if machine.life != self.life:
            return
        if not machine.paused:
            ok = self.resolvers.reaches(machine.name, self.name)
            if ok:
                self.silent_since = world.now
                if self.name in self.resolvers.minds:
                    self._beat()
            # As the real child: an arbiter that answers now and then is not lost.
            if ok or world.now - self.silent_since >= world.cluster.timeout_s / 2:
                self._tell(ok)
        machine.later(world.cluster.interval_s, self.look)

    def _tell(self, ok: bool) -> None:
        machine = self.machine
        if self.engine is not machine.engine:  # A new daemon is told again.
            self.engine, self.told = machine.engine, None
        if machine.daemon and ok != self.told:
            self.told = ok
            machine.feed(ResolverState(name=self.name, ok=ok, detail="" if ok else "no answer"))

    def _beat(self) -> None:
        machine, sent_at = self.machine, self.machine.clock()
        mind = self.resolvers.minds[self.name]

        def arrive() -> None:
            if not self.resolvers.reaches(machine.name, self.name) or self.resolvers.minds[self.name] is not mind:
                return
            self.resolvers.seq += 1
            beat = wire.Beat(machine.name, machine.incarnation, self.resolvers.seq, mind.life,
                             self.world.cluster.timeout_s, machine.detector.service)  # fmt: skip
            told = mind.beat(beat, self.world.now)
            if machine.name in told.record.members:
                self.world.after(self.resolvers._delay(), back)

        def back() -> None:
            if machine.life == self.life and self.resolvers.reaches(machine.name, self.name):
                machine.later(0.0, lambda: machine.pulse.arbiter_confirmed(self.name, sent_at))

        self.world.after(self.resolvers._delay(), arrive)


def _answer(machine: Machine, engine: Engine, effect: AskArbiter, answer: wire.Answer) -> None:
    if machine.daemon and machine.engine is engine:
        machine.feed(
            ArbiterAnswer(
                name=effect.name, epoch=effect.epoch, granted=answer.granted, promised=answer.promised,
                ballots=tuple(Ballot(*one) for one in answer.before.open), heard_s=dict(answer.heard_s),
                detail=answer.detail,
            )
        )  # fmt: skip


def _ask(machine: Machine, effect: AskArbiter) -> None:
    machine.world.resolvers.ask(machine, effect)


CARRIERS[AskArbiter] = _ask


def faults(fuzzer: Fuzzer) -> list[tuple[int, Callable[[], None]]]:
    """For the fuzzer: (weight, fault)."""
    world, random = fuzzer.world, fuzzer.random
    names = (*world.cluster.arbiters, *world.cluster.pings)
    if not names:
        return []

    def cut() -> None:
        server, name = random.choice(world.cluster.server_names), random.choice(names)
        world.line(server, "cut", f"from {name}")
        world.resolvers.cuts.add((server, name))

    def down() -> None:
        name = random.choice(names)
        world.line(name, "resolver", "down")
        world.resolvers.down.add(name)

    def mend() -> None:
        world.line("", "mend", "resolvers")
        world.resolvers.heal()

    def restart() -> None:
        name = random.choice(world.cluster.arbiters)
        world.line(name, "resolver", "restarted")
        world.resolvers.restart(name)

    found: list[tuple[int, Callable[[], None]]] = [(3, cut), (1, down), (3, mend)]
    return [*found, (1, restart)] if world.cluster.arbiters else found


def with_arbiters(cluster: Cluster, *names: str) -> Cluster:
    """The same cluster with witnesses of these names, and nothing else, as its resolvers."""
    resolvers = tuple(PartitionResolver(name=n, type="httpnp", priority=i, device=10700) for i, n in enumerate(names))
    return replace(cluster, resolvers=resolvers)
