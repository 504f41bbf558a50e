"""A whole cluster in simulated time: real engines and detectors, pretend machines, network and clocks.

Deterministic: the same configuration, seed and calls give the same trace. Nothing here decides anything about the
cluster; faults come from the caller (a scenario, the fuzzer, a what-if question).

The model of a machine. A crash ends everything at once; what was saved durably is there after power on. A pause stops
the processes; packets wait in their buffers with the time of their arrival, messages wait in their streams. Where the
configuration has self-fencing, a hardware watchdog resets a server whose lease ended 0.2 timeouts ago while it
holds something, paused or not (agent/engine/detector.py: LEASE, FENCE).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from agent.clpconf.model import Cluster
from agent.engine import events as ev
from agent.engine.detector import (
    DeafPeer,
    Detector,
    LeaseHeld,
    LeaseLost,
    PathChanged,
    PeerHeard,
    PeerLost,
    SelfFence,
    Stalled,
    Verdict,
)
from agent.engine.effects import (
    Abort,
    Activate,
    Announce,
    Beat,
    Deactivate,
    Effect,
    HaltServer,
    Log,
    Publish,
    Reply,
    Save,
    Send,
    StartMonitor,
    StopMonitor,
)
from agent.engine.engine import Engine
from agent.sim.hands import Hands
from agent.sim.network import Network
from agent.wire.peer import Answer, Message, Request
from agent.wire.report import Note

Defaults = Mapping[str, tuple[str, ...]]
BOOT_S = 5.0


class Machine:
    """One server: its engine while it is on, its disk always."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.random = Random(f"{world.seed} {name}")
        self.hands = Hands(world.cluster, self.random)
        self.hands.changed = world.check_overlap
        self.disk: dict[str, Any] = {}
        self.incarnation = 0
        self.on = False
        self.paused = False
        self.waiting: list[Callable[[], None]] = []  # what arrived during a pause
        self.monitors: dict[str, int] = {}  # running monitor -> generation
        self.generation = 0
        self.life = 0  # raised at power off: callbacks of an earlier life do nothing
        self.engine: Engine
        self.detector: Detector
        self.wake_at = float("inf")
        self.judge_at = float("inf")
        self.answers: list[Answer] = []
        self.records: list[tuple[ev.Event, float]] = []  # of this life, with record=True; `saved` is where it began
        self.saved: dict[str, Any] = {}

    # Power ------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        assert not self.on
        world = self.world
        self.on, self.paused = True, False
        self.incarnation += 1
        self.life += 1
        self.saved = {k: v for k, v in self.disk.items() if k in ("promised", "note_seq")}
        self.engine = Engine(world.cluster, self.name, self.incarnation, self.saved, world.defaults)
        self.detector = Detector(
            self.name, world.cluster.server_names, [h.name for h in world.cluster.heartbeats],
            world.cluster.interval_s, world.cluster.timeout_s, world.cluster.majority, world.now,
            incarnation=self.incarnation,
        )  # fmt: skip
        self.wake_at = self.judge_at = float("inf")
        self.records.clear()
        self.feed(ev.Started())
        self._beat()
        self._judge()

    def power_off(self) -> None:
        self.on = self.paused = False
        self.life += 1
        self.waiting.clear()
        self.monitors.clear()
        self.hands.die()

    def pause(self) -> None:
        self.paused = True
        if self.world.cluster.self_fencing and self.world.cluster.majority:
            self._arm_watchdog()

    def _arm_watchdog(self) -> None:
        life, step = self.life, self.world.cluster.timeout_s / 20

        def look() -> None:
            if self.life != life or not self.paused:
                return
            if self.engine.groups.holding() and self.detector.fence_due(self.world.now):
                self._fence()
            else:
                self.world.after(step, look)

        look()

    def resume(self) -> None:
        self.paused = False
        self._judge()  # As the shell does: that it slept, and that the lease ran out, goes before all that waited.
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            if self.on and not self.paused:
                call()
        if self.on and not self.paused:
            self._judge()
            self.tick()

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        """Run in this life of the server; during a pause it waits."""
        life = self.life

        def run() -> None:
            if self.life != life:
                return
            if self.paused:
                self.waiting.append(run)
            else:
                call()

        self.world.after(delay, run)

    # Heartbeats -------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        world, packet = self.world, self.detector.beat(self.world.now)
        for peer in world.machines.values():
            if peer is self or not peer.on:
                continue
            for path in range(world.network.paths):
                delay = world.network.beat_delay(self.name, peer.name, path)
                if delay is not None:
                    world.after(delay, _Arrival(peer, packet, path, peer.life))
        self._later(world.cluster.interval_s, self._beat)

    def arrive(self, packet: Any, path: int, at: float) -> None:
        if self.detector.heard(packet, path, at):
            self._judge()

    def _judge(self) -> None:
        for verdict in self.detector.judge(self.world.now):
            if isinstance(verdict, SelfFence):
                if self.world.cluster.self_fencing and self.engine.groups.holding():
                    self._fence()
                    return
            else:
                self.feed(to_event(verdict))
            if not self.on:
                return
        at = self.detector.next_deadline()
        if at < self.judge_at or self.judge_at <= self.world.now:
            self.judge_at = at
            self._later(max(0.0, at - self.world.now), self._judge_due)

    def _judge_due(self) -> None:
        if self.world.now >= self.judge_at or self.detector.next_deadline() <= self.world.now:
            self._judge()

    def _fence(self) -> None:
        self.world.line(self.name, "watchdog", "reset: the lease was lost and something is still held")
        self.world.crash(self.name)
        self.world.after(BOOT_S, lambda: self.world.power_on(self.name))

    # Engine -----------------------------------------------------------------------------------------------------

    def feed(self, event: ev.Event) -> None:
        if not self.on:
            return
        world = self.world
        promised = self.engine.membership.promised
        effects = self.engine.handle(event, world.now)
        if world.record:
            self.records.append((event, world.now))
        world.check_step(self, event, promised, effects)
        life = self.life
        for effect in effects:
            if self.life != life:
                return
            self._carry_out(effect)
        self._wake()

    def tick(self) -> None:
        self.wake_at = float("inf")
        self.feed(ev.Tick())
        if self.on and self.engine.next_deadline() <= self.world.now:
            raise AssertionError(f"{self.name} wants to be woken in the past: {self.engine.deadlines()}")

    def _wake(self) -> None:
        at = self.engine.next_deadline()
        if at < self.wake_at:
            self.wake_at = at
            self._later(max(0.0, at - self.world.now), self._wake_due)

    def _wake_due(self) -> None:
        if self.world.now >= self.wake_at:
            self.tick()
        elif self.wake_at == float("inf"):
            self._wake()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send():
                self.world.deliver(self.name, effect.to, effect.message)
            case Save():
                self.disk = effect.state
            case Activate() | Deactivate():
                token = effect.token
                self._later(self.hands.begin(effect), lambda: self._action_over(token))
            case Abort():
                if self.hands.abort(effect.token):
                    token = effect.token
                    self._later(0.01, lambda: self.feed(ev.ActionDone(token=token, ok=False, detail="aborted")))
            case StartMonitor():
                self.generation += 1
                self.monitors[effect.monitor] = self.generation
                self._monitor(effect.monitor, self.generation)
            case StopMonitor():
                self.monitors.pop(effect.monitor, None)
            case Beat():
                self.detector.say(effect.epoch, effect.service, effect.members)
            case HaltServer():
                self._halt(effect.how)
            case Log():
                self.world.noted(effect.note)
            case Reply():
                self.answers.append(effect.answer)
                self.world.answered(self.name, effect.answer)
            case Publish() | Announce():
                pass

    def _halt(self, how: str) -> None:
        self.world.line(self.name, "halt", how)
        life = self.life

        def off() -> None:
            if self.life == life:
                self.world.crash(self.name)

        # An orderly shutdown takes a while, in which the heartbeats still say that the service has stopped.
        self.world.after(1.0, off) if how in ("shutdown", "reboot") else off()
        if how != "shutdown":
            self.world.after(1.0 + BOOT_S, lambda: self.world.power_on(self.name))

    def _action_over(self, token: int) -> None:
        result = self.hands.end(token)
        if result is not None:
            self.feed(ev.ActionDone(token=token, ok=result[0], detail=result[1]))

    def _monitor(self, name: str, generation: int) -> None:
        monitor = self.world.cluster.monitor(name)

        def run() -> None:
            if self.monitors.get(name) != generation:
                return
            ok = self.hands.healthy(monitor.target)
            self.feed(ev.MonitorResult(monitor=name, ok=ok, detail="" if ok else "the target is sick"))
            self._later(monitor.interval_s, run)

        self._later(monitor.first_wait_s + min(1.0, monitor.interval_s), run)


class _Arrival:
    """A heartbeat on its way; lighter than a closure, there are many."""

    __slots__ = ("life", "packet", "path", "peer")

    def __init__(self, peer: Machine, packet: Any, path: int, life: int) -> None:
        self.peer, self.packet, self.path, self.life = peer, packet, path, life

    def __call__(self) -> None:
        peer = self.peer
        if peer.life != self.life:
            return
        now = peer.world.now
        if peer.paused:
            peer.waiting.append(lambda: peer.arrive(self.packet, self.path, now))
        else:
            peer.arrive(self.packet, self.path, now)


class World:
    """`run_until` plays; faults are methods; `lines` is the trace; `notes` all notes by id."""

    def __init__(
        self, cluster: Cluster, seed: int = 0, defaults: Defaults | None = None, *, start: bool = True,
        record: bool = False,
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.seed = seed
        self.defaults = defaults or {}
        self.record = record
        self.now = 0.0
        self.random = Random(seed)
        self.network = Network(cluster.server_names, max(1, len(cluster.heartbeats)), Random(seed + 1))
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.steps = 0
        self.lines: list[str] = []
        self.notes: dict[str, Note] = {}
        self.overlaps: dict[str, float] = {}  # group -> since when it is active on two servers
        self.violations: list[str] = []
        self.may_overlap: Callable[[str], bool] = lambda group: False
        self.machines: dict[str, Machine] = {}
        for name in cluster.server_names:
            self.machines[name] = Machine(self, name)
        if start:
            for name in cluster.server_names:
                self.power_on(name)

    # Time -------------------------------------------------------------------------------------------------------

    def after(self, delay: float, call: Callable[[], None]) -> None:
        self.count += 1
        heapq.heappush(self.queue, (self.now + delay, self.count, call))

    def run_until(self, end: float) -> None:
        while self.queue and self.queue[0][0] <= end:
            self.now, _, call = heapq.heappop(self.queue)
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

    def ask(self, name: str, request: Request) -> None:
        if self.machines[name].on and not self.machines[name].paused:
            self.machines[name].feed(ev.Asked(request=request))

    def deliver(self, sender: str, to: str, message: Message) -> None:
        machine = self.machines[to]
        life = machine.life

        def arrive() -> None:
            if machine.life != life:
                return
            if machine.paused:
                machine.waiting.append(arrive)
            else:
                machine.feed(ev.Received(sender=sender, message=message))

        kind = type(message).__name__
        if self.network.losing and self.network.loses(kind):
            self.line(sender, "lost", f"{kind} to {to}")
        elif machine.on:
            for delay in self.network.message_delays(sender, to):
                self.after(self.network.in_order(sender, to, self.now, delay), arrive)

    # What is true -------------------------------------------------------------------------------------------------

    def active_on(self, group: str) -> list[str]:
        """Servers on which any resource of the group is on, by the truth of the hands."""
        resources = self.cluster.group(group).resources
        return [n for n, m in self.machines.items() if m.on and any(r in m.hands.active for r in resources)]

    def online_on(self, group: str) -> list[str]:
        """Servers whose own engine says that the group is online."""
        return [n for n, m in self.machines.items() if m.on and m.engine.groups.local[group].state == "Online"]

    def check_overlap(self) -> None:
        counts: dict[str, int] = {}
        for machine in self.machines.values():
            for group in machine.hands.groups():
                counts[group] = counts.get(group, 0) + 1
        for group in [g for g in self.overlaps if counts.get(g, 0) < 2]:
            del self.overlaps[group]
            self.line("", "overlap", f"of {group} is over")
        for group, count in counts.items():
            if count > 1 and group not in self.overlaps:
                self.overlaps[group] = self.now
                self.line("", "OVERLAP", f"{group} is active on {', '.join(self.active_on(group))}")
                if not self.may_overlap(group):
                    self.violate(f"{group} is active on {', '.join(self.active_on(group))}")

    def check_step(self, machine: Machine, event: ev.Event, promised: object, effects: list[Effect]) -> None:
        """Invariants that hold at every step of every engine."""
        if isinstance(event, ev.Received):
            epoch = getattr(event.message, "epoch", promised)
            orders = type(event.message).__name__ in ("Order", "Halt")
            if orders and epoch < promised and any(isinstance(e, Activate | Deactivate | HaltServer) for e in effects):  # type: ignore[operator]
                self.violate(f"{machine.name} obeyed an order of epoch {epoch} after it had promised {promised}")
        for effect in effects:
            if isinstance(effect, Log):
                missing = [c for c in effect.note.causes if c not in self.notes and c not in _ids(effects)]
                if missing:
                    self.violate(f"{effect.note.id} names causes that nobody wrote: {missing}")

    def violate(self, text: str) -> None:
        self.line("", "VIOLATION", text)
        self.violations.append(f"seed {self.seed}, {self.now:.3f} s: {text}")

    # Trace --------------------------------------------------------------------------------------------------------

    def line(self, server: str, what: str, text: str) -> None:
        self.lines.append(f"{self.now:10.3f} {server or '-':<10} {what:<9} {text}")

    def noted(self, note: Note) -> None:
        self.notes[note.id] = note
        self.line(note.server, f"{note.module}:{note.event}", note.text)

    def answered(self, server: str, answer: Answer) -> None:
        reason = f" ({answer.reason})" if answer.reason else ""
        self.line(server, "answer", f"{answer.id}: code {answer.code}{reason}: {answer.text}")

    def digest(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


def _ids(effects: list[Effect]) -> set[str]:
    return {e.note.id for e in effects if isinstance(e, Log)}


def to_event(verdict: Verdict) -> ev.Event:
    match verdict:
        case PeerHeard():
            return ev.PeerHeard(server=verdict.server, incarnation=verdict.incarnation, epoch=verdict.epoch,
                                service=verdict.service)  # type: ignore[arg-type]  # fmt: skip
        case PeerLost():
            return ev.PeerLost(server=verdict.server, silence_s=verdict.silence_s)
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
    raise AssertionError(verdict)
