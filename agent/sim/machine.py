"""One simulated server: its power, its clock, its disk, its daemon with the real engine, its pretend hands.

A crash ends everything at once; what was saved durably is there after power on, what was only written may be lost. A
dead daemon leaves resources, heartbeats and the whole disk; its successor adopts what runs. A pause stops the
processes; packets wait in their buffers with the time of their arrival, messages wait in their streams. Where the
configuration has self-fencing, a hardware watchdog resets a server whose lease ended 0.2 timeouts ago while it holds
something, paused or not (agent/engine/detector.py: LEASE, FENCE).

The clock is steady and goes at its own rate; its origin is another after each boot.

What an effect does is in `CARRIERS`, by its type: a part that brings new effects (arbiters, fencing) adds its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from agent.clpconf.model import Cluster
from agent.engine import events as ev
from agent.engine.effects import (
    Abort,
    Activate,
    Announce,
    Beat,
    BeginDrill,
    Deactivate,
    Effect,
    EndDrill,
    HaltServer,
    KeepConfiguration,
    Log,
    Prepare,
    Publish,
    Reply,
    RunScript,
    Save,
    Send,
    StartMonitor,
    StopMonitor,
    SwitchConfiguration,
)
from agent.engine.engine import Engine
from agent.sim import drill
from agent.sim.hands import STALLED, Hands
from agent.sim.pulse import NEVER, Pulse, to_event
from agent.sim.switch import Keeping, carry_out, keep
from agent.wire.peer import Answer

if TYPE_CHECKING:
    from agent.engine.detector import Detector
    from agent.sim.world import World

BOOT_S = 5.0
_ABORT_S = 0.01
_SCRIPT_S = 0.1  # of a monitor, before a recovery
_SHUTDOWN_S = 1.0
_ROUNDING_S = 1e-9


class Machine:
    """`on`: has power. `paused`: has power, but nothing runs. `daemon`: False between its death and its successor."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.random = Random(f"{world.seed} {name}")
        self.hands = Hands(world.cluster, self.random)
        self.hands.changed = world.promises.check_overlap
        self.keeping = Keeping()
        self.disk: dict[str, Any] = {}
        self.durable_disk: dict[str, Any] = {}  # what a loss of power leaves of it
        self.incarnation = 0
        self.on = False
        self.paused = False
        self.daemon = False
        self.rate = 1.0  # own seconds for each second of the world
        self.origin = 0.0
        self.next_origin: float | None = None  # from the next boot on
        self.boots = False  # it was reset and will be there again by itself
        self.waiting: list[Callable[[], None]] = []  # what arrived during a pause
        self.monitors: dict[str, int] = {}  # running monitor -> generation
        self.generation = 0
        self.life = 0  # raised at power off: callbacks of an earlier life do nothing
        self.engine: Engine
        self.pulse: Pulse
        self.wake_at = NEVER
        self.answers: list[Answer] = []
        self.records: list[tuple[ev.Event, float]] = []  # of this life, with record=True; `saved` is where it began
        self.saved: dict[str, Any] = {}

    @property
    def detector(self) -> Detector:
        return self.pulse.detector

    @property
    def cluster(self) -> Cluster:
        """As its configuration says."""
        config = self.keeping.config
        return self.world.configurations.clusters[config] if config else self.world.cluster

    # Time -------------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        return self.world.now * self.rate + self.origin

    def drift(self, rate: float) -> None:
        """From now on at another rate; what it shows does not jump."""
        self.origin += (self.rate - rate) * self.world.now
        self.rate = rate

    @property
    def drifts(self) -> bool:
        return self.rate != 1.0 or self.origin != 0.0

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Run in this life of the server, `delay` seconds of its own clock from now; during a pause it waits."""
        life = self.life

        def run() -> None:
            if self.life != life:
                return
            if self.paused:
                self.waiting.append(run)
            else:
                call()

        if self.drifts:
            # By its own clock not a moment too early, whatever the rounding.
            delay = max(delay, 0.0) / self.rate + _ROUNDING_S
        self.world.after(max(0.0, delay), run)

    # Power ------------------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        assert not self.on
        world = self.world
        self.on, self.paused, self.daemon, self.boots = True, False, True, False
        self.incarnation += 1
        self.life += 1
        if self.next_origin is not None:
            self.origin, self.next_origin = self.next_origin - self.rate * world.now, None
        self.saved = {k: v for k, v in self.disk.items() if k != "local"}
        self.keeping.boot()
        self.engine = self._new_engine(self.saved)
        self.pulse = Pulse(self)
        self.wake_at = NEVER
        self.records.clear()
        for hook in world.power_hooks:
            hook(self)
        self.feed(ev.Started(switch=self.keeping.switch, stored=self.keeping.stored))
        if self.on:
            self.pulse.start()

    def power_off(self) -> None:
        self.on = self.paused = self.daemon = False
        self.life += 1
        self.disk = self.durable_disk
        self.waiting.clear()
        self.monitors.clear()
        self.hands.die()
        for hook in self.world.power_hooks:
            hook(self)

    def pause(self) -> None:
        self.paused = True
        if self.world.cluster.self_fencing and self.world.cluster.majority:
            self._arm_watchdog()

    def _arm_watchdog(self) -> None:
        life, step = self.life, self.world.cluster.timeout_s / 20

        def look() -> None:
            if self.life != life or not self.paused:
                return
            if self.holding() and self.detector.fence_due(self.clock()):
                self.fence()
            else:
                self.world.after(step, look)

        look()

    def resume(self) -> None:
        self.paused = False
        self.pulse.judge()  # As the shell does: that it slept, and that the lease ran out, goes before all that waited.
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            if self.on and not self.paused:
                call()
        if self.on and not self.paused:
            self.pulse.judge()
            if self.daemon:
                self.tick()

    def holding(self) -> bool:
        """As the watchdog's keeper sees it: by the daemon's word, and without a daemon by what runs."""
        return self.engine.groups.holding() if self.daemon else bool(self.hands.active)

    def fence(self) -> None:
        self.world.line(self.name, "watchdog", "reset: the lease was lost and something is still held")
        self.world.crash(self.name)
        self.boot(BOOT_S)

    def boot(self, after_s: float) -> None:
        self.boots = True
        self.world.after(after_s, lambda: self.world.power_on(self.name))

    def halt(self, how: str) -> None:
        self.world.line(self.name, "halt", how)
        life = self.life

        def off() -> None:
            if self.life == life:
                self.world.crash(self.name)

        # An orderly shutdown takes a while, in which the heartbeats still say that the service has stopped.
        self.world.after(_SHUTDOWN_S, off) if how in ("shutdown", "reboot") else off()
        if how != "shutdown":
            self.boot(_SHUTDOWN_S + BOOT_S)

    # The daemon -------------------------------------------------------------------------------------------------

    def kill_daemon(self) -> None:
        """`kill -9`: its scripts die with it wherever they are; resources and heartbeats go on."""
        self.daemon = False
        self.monitors.clear()
        self.hands.running.clear()

    def start_daemon(self) -> None:
        """A successor within the grace: it adopts what runs, and asks the heartbeat child how things are."""
        if not self.on or self.daemon:
            return
        self.daemon = True
        self.wake_at = NEVER
        self.saved = self.disk
        self.records.clear()
        running = {r: r in self.hands.active for r in self.hands.group_of}
        self.engine = self._new_engine(self.disk)
        self.feed(ev.Started(running=running, switch=self.keeping.switch, stored=self.keeping.stored))
        for verdict in self.detector.state(self.clock()):
            self.feed(to_event(verdict))

    def hear_as_configured(self) -> None:
        """The heartbeat child begins anew where its servers are others."""
        if self.on and self.pulse.names != self.cluster.server_names:
            self.pulse = Pulse(self)
            self.pulse.start()

    def _new_engine(self, saved: dict[str, Any]) -> Engine:
        return Engine(self.cluster, self.name, self.incarnation, saved, self.world.defaults, config=self.keeping.config)

    def feed(self, event: ev.Event) -> None:
        if not self.daemon:
            return
        world, now = self.world, self.clock()
        promised = self.engine.membership.promised
        effects = self.engine.handle(event, now)
        if world.record:
            self.records.append((event, now))
        world.promises.check_step(self, event, promised, effects)
        life, engine = self.life, self.engine
        for effect in effects:
            if self.life != life or self.engine is not engine:
                return
            CARRIERS[type(effect)](self, effect)
        self._wake()

    def tick(self) -> None:
        self.wake_at = NEVER
        self.feed(ev.Tick())
        if self.daemon and self.engine.next_deadline() <= self.clock():
            raise AssertionError(f"{self.name} wants to be woken in the past: {self.engine.deadlines()}")

    def _wake(self) -> None:
        at = self.engine.next_deadline()
        if at < self.wake_at:
            self.wake_at = at
            self.later(at - self.clock(), partial(self._wake_due, at))

    def _wake_due(self, at: float) -> None:
        if not self.daemon:
            return
        if self.clock() >= self.wake_at:
            self.tick()
        elif at == self.wake_at:  # The clock was slowed down meanwhile.
            self.later(at - self.clock(), partial(self._wake_due, at))
        elif self.wake_at == NEVER:
            self._wake()

    # Hands ------------------------------------------------------------------------------------------------------

    def action_over(self, token: int) -> None:
        result = self.hands.end(token)
        if result is not None:
            ok, detail = result
            self.feed(ev.ActionDone(token=token, ok=ok, detail=detail, stalled=detail == STALLED))

    def will_complain(self, name: str) -> bool:
        """This monitor has found an error, or will, of which not everything has followed yet."""
        monitor = self.cluster.monitor(name)
        if self.hands.healthy(monitor.target) or self.engine.recovery.local[name].finished:
            return False
        # Where nothing at all follows (it only observes, or the error is ignored) two rounds in silence tell so.
        rounds_s = 2 * (monitor.retries + 2) * monitor.interval_s + monitor.first_wait_s
        return self.world.now - self.world.rows[-1][0] < rounds_s

    def monitor(self, name: str) -> None:
        self.generation += 1
        self.monitors[name] = generation = self.generation
        monitor = self.cluster.monitor(name)

        def run() -> None:
            if self.monitors.get(name) != generation:
                return
            ok = self.hands.healthy(monitor.target)
            self.feed(ev.MonitorResult(monitor=name, ok=ok, detail="" if ok else "the target is sick"))
            self.later(monitor.interval_s, run)

        self.later(monitor.first_wait_s + min(1.0, monitor.interval_s), run)


# What effects do ------------------------------------------------------------------------------------------------


def _send(machine: Machine, effect: Send) -> None:
    machine.world.deliver(machine.name, effect.to, effect.message)


def _save(machine: Machine, effect: Save) -> None:
    machine.disk = effect.state
    if effect.durable:
        machine.durable_disk = effect.state


def _act(machine: Machine, effect: Activate | Deactivate) -> None:
    token = effect.token
    machine.later(machine.hands.begin(effect), lambda: machine.action_over(token))


def _abort(machine: Machine, effect: Abort) -> None:
    token = effect.token
    if machine.hands.abort(token):
        machine.later(_ABORT_S, lambda: machine.feed(ev.ActionDone(token=token, ok=False, detail="aborted")))


def _run_script(machine: Machine, effect: RunScript) -> None:
    machine.world.line(machine.name, "script", f"{effect.path} of {effect.monitor} before {effect.step}")
    token = effect.token
    machine.later(_SCRIPT_S, lambda: machine.feed(ev.ScriptDone(token=token, ok=True)))


def _start_monitor(machine: Machine, effect: StartMonitor) -> None:
    machine.monitor(effect.monitor)


def _stop_monitor(machine: Machine, effect: StopMonitor) -> None:
    machine.monitors.pop(effect.monitor, None)


def _beat(machine: Machine, effect: Beat) -> None:
    machine.detector.say(effect.epoch, effect.service, effect.members, effect.electorates, effect.promised,
                         effect.config, machine.clock())  # fmt: skip


def _halt(machine: Machine, effect: HaltServer) -> None:
    machine.halt(effect.how)


def _log(machine: Machine, effect: Log) -> None:
    machine.world.noted(effect.note)


def _reply(machine: Machine, effect: Reply) -> None:
    machine.answers.append(effect.answer)
    machine.world.answered(machine.name, effect.answer)


def _nothing(machine: Machine, effect: Effect) -> None:
    """Nothing in the simulated world depends on it."""


CARRIERS: dict[type, Callable[[Machine, Any], None]] = {
    Send: _send, Save: _save, Activate: _act, Deactivate: _act, Abort: _abort, RunScript: _run_script,
    StartMonitor: _start_monitor,
    StopMonitor: _stop_monitor, Beat: _beat, HaltServer: _halt, Log: _log, Reply: _reply,
    Publish: _nothing, Announce: _nothing, Prepare: _nothing,
    SwitchConfiguration: carry_out, KeepConfiguration: keep, BeginDrill: drill.begin, EndDrill: drill.end,
}  # fmt: skip
