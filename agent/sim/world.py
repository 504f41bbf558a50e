"""A whole cluster in simulated time: real engines and detectors, pretend machines, disks, network and clocks.

Deterministic: the same configuration, seed and calls give the same trace. Nothing here decides anything about the
cluster; faults come from the caller (a scenario, the fuzzer, a what-if question). What a server is made of stands in
machine.py, its heartbeats in pulse.py, the way between servers in network.py, what must always hold in promises.py.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from random import Random

import msgspec

from agent.clpconf.model import Cluster
from agent.engine import events as ev
from agent.sim.arbiter import Resolvers
from agent.sim.fence import FenceDevices
from agent.sim.machine import Machine
from agent.sim.network import Network
from agent.sim.promises import Promises
from agent.sim.switch import Configurations
from agent.wire.peer import Answer, HearingPush, Message, ReportPush, Request
from agent.wire.report import Note

Defaults = Mapping[str, tuple[str, ...]]


class World:
    """`run_until` plays; faults are methods; `lines` is the trace; `notes` all notes by id.

    `power_hooks` are called with the machine whenever one is switched on or off, for parts that stand beside it
    (an arbiter, a fencing device)."""

    def __init__(
        self, cluster: Cluster, seed: int = 0, defaults: Defaults | None = None, *, start: bool = True,
        record: bool = False,
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.seed = seed
        self.defaults = defaults or {}
        self.record = record
        self.now = 0.0
        self.beat_s = cluster.interval_s  # between two heartbeats of a server
        self.gossip = True  # False: a report wakes nobody but the coordinator; the others just have it
        self.flying = 0  # messages on their way
        self.random = Random(seed)
        self.network = Network(cluster.server_names, max(1, len(cluster.heartbeats)), Random(seed + 1))
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.steps = 0
        self.rows: list[tuple[float, str, str, str]] = []  # the trace: when, server, what, text
        self.notes: dict[str, Note] = {}
        self.promises = Promises(self)
        self.fences = FenceDevices(self)
        self.power_hooks: list[Callable[[Machine], None]] = []
        self.resolvers = Resolvers(self)
        self.configurations = Configurations(self)
        self.machines: dict[str, Machine] = {}
        for name in cluster.server_names:
            self.machines[name] = Machine(self, name)
        if start:
            for name in cluster.server_names:
                self.power_on(name)

    @property
    def violations(self) -> list[str]:
        return self.promises.violations

    # Time -------------------------------------------------------------------------------------------------------

    def after(self, delay: float, call: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (self.now + delay, self.count, call))

    def run_until(self, end: float) -> None:
        queue, pop = self.queue, heapq.heappop
        while queue and queue[0][0] <= end:
            self.now, _, call = pop(queue)
            self.steps += 1
            call()
        self.now = end

    def run_while(self, condition: Callable[[], bool], limit: float) -> bool:
        """Play until the condition ends or `limit` comes; True when it ended."""
        while condition():
            if not self.queue or self.queue[0][0] > limit:
                self.now = limit
                return not condition()
            self.now, _, call = heapq.heappop(self.queue)
            self.steps += 1
            call()
        return True

    # Faults -----------------------------------------------------------------------------------------------------

    def power_on(self, name: str) -> None:
        if not self.machines[name].on:
            self.line(name, "power", "on")
            self.machines[name].power_on()

    def crash(self, name: str) -> None:
        if self.machines[name].on:
            self.line(name, "power", "off")
            self.machines[name].power_off()

    def pause(self, name: str) -> None:
        if self.machines[name].on and not self.machines[name].paused:
            self.line(name, "power", "paused")
            self.machines[name].pause()

    def resume(self, name: str) -> None:
        if self.machines[name].paused:
            self.line(name, "power", "resumed")
            self.machines[name].resume()

    def kill_daemon(self, name: str, back_s: float) -> None:
        """Its successor starts `back_s` later (the supervisor's work), if the server is not paused then."""
        machine = self.machines[name]
        if machine.daemon and not machine.paused:
            self.line(name, "daemon", "killed")
            machine.kill_daemon()
            machine.later(back_s, lambda: self.start_daemon(name))

    def start_daemon(self, name: str) -> None:
        if self.machines[name].on and not self.machines[name].daemon:
            self.line(name, "daemon", "started again")
            self.machines[name].start_daemon()

    def heal(self) -> None:
        """Network, devices, scripts and clocks are as new; what is off or paused stays so."""
        self.network.heal()
        self.fences.heal()
        self.resolvers.heal()
        for machine in self.machines.values():
            machine.hands.heal()
            machine.drift(1.0)

    def ask(self, name: str, request: Request) -> None:
        if self.machines[name].on and not self.machines[name].paused:
            self.machines[name].feed(ev.Asked(request=request))

    def deliver(self, sender: str, to: str, message: Message) -> None:
        machine = self.machines[to]
        if self.network.losing and self.network.loses(kind := type(message).__name__):
            self.line(sender, "lost", f"{kind} to {to}")
            return
        if self.configurations.mute and self._mute(sender, to):
            return
        if not machine.on or (not self.gossip and self._told_silently(sender, machine, message)):
            return
        life, engine = machine.life, machine.engine

        def arrive() -> None:
            if machine.life != life or machine.engine is not engine:
                self.flying -= 1  # The stream ended with the process.
            elif machine.paused:
                machine.waiting.append(arrive)
            else:
                self.flying -= 1
                machine.feed(ev.Received(sender=sender, message=message))

        for delay in self.network.message_delays(sender, to):
            self.flying += 1
            self.after(self.network.in_order(sender, to, self.now, delay), arrive)

    def _mute(self, *servers: str) -> bool:
        return any(self.machines[name].keeping.config in self.configurations.mute for name in servers)

    def _told_silently(self, sender: str, machine: Machine, message: Message) -> bool:
        """Most messages are reports to servers that do nothing about them; whoever coordinates next asks for all."""
        origin = self.machines[sender]
        if not isinstance(message, ReportPush | HearingPush):
            return False
        if origin.engine.membership.view.coordinator == machine.name:
            return False
        if machine.paused or not machine.daemon or not self.network.connects(sender, machine.name):
            return False
        origin.engine._reports.acknowledged(machine.name, machine.engine._reports.keep(sender, message))
        return True

    # What is true -------------------------------------------------------------------------------------------------

    def active_on(self, group: str) -> list[str]:
        """Servers on which any resource of the group is on, by the truth of the hands."""
        return [n for n, m in self.machines.items() if m.on and group in m.hands.groups()]

    def online_on(self, group: str) -> list[str]:
        """Servers whose own engine says that the group is online."""
        return [
            n
            for n, m in self.machines.items()
            if m.daemon and (local := m.engine.groups.local.get(group)) is not None and local.state == "Online"
        ]

    def acts(self) -> bool:
        """Some resource is on its way up or down."""
        return any(machine.hands.running and not machine.paused for machine in self.machines.values())

    def waits_for_something(self, within_s: float) -> bool:
        """Some engine has to be woken soon, some action runs, some server starts or is paused: this is no rest."""
        for machine in self.machines.values():
            if machine.daemon and machine.engine.next_deadline() <= machine.clock() + within_s:
                return True
            if machine.hands.running or machine.paused or (machine.on and not machine.daemon):
                return True
        return False

    # Trace --------------------------------------------------------------------------------------------------------

    def line(self, server: str, what: str, text: str) -> None:
        self.rows.append((self.now, server, what, text))

    @property
    def lines(self) -> list[str]:
        return [f"{at:10.3f} {server or '-':<10} {what:<9} {text}" for at, server, what, text in self.rows]

    def noted(self, note: Note) -> None:
        self.notes[note.id] = note
        self.line(note.server, f"{note.module}:{note.event}", note.text)

    def answered(self, server: str, answer: Answer) -> None:
        reason = f" ({answer.reason})" if answer.reason else ""
        self.line(server, "answer", f"{answer.id}: code {answer.code}{reason}: {answer.text}")

    def digest(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256(msgspec.msgpack.encode(self.rows)).hexdigest()
