"""Pretend fence devices: they work, fail, are slow, or lie when told so; beside every simulated world.

A shot is a process on the server that shoots: it dies with the server and stands still in its pause, but it outlives
the daemon, so that a server may be switched off by a shot that nobody waits for any more.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agent.clpconf.model import Cluster, FenceDevice
from agent.engine.effects import Abort, Fence, Watchdog
from agent.engine.events import FenceDone, WatchdogState
from agent.sim.machine import BOOT_S, CARRIERS, Machine

if TYPE_CHECKING:
    from agent.sim.fuzz import Fuzzer
    from agent.sim.world import World

_SHOT_S = 0.5
ALWAYS = -1


class FenceDevices:
    """`failing`, `slow`, `lying` are set by whoever plays; a device that is in none of them works."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"fences {world.seed}")
        self.failing: dict[str, int] = {}  # device -> how many further shots fail
        self.slow: dict[str, float] = {}  # device -> seconds that a shot takes
        self.lying: set[str] = set()  # says "off" and does nothing
        self.given_up: set[tuple[str, int, int]] = set()  # server that shoots, its life, token
        self.shots: list[tuple[float, str, str, str, bool]] = []  # when, by, device, at, did it work

    def heal(self) -> None:
        self.failing.clear()
        self.slow.clear()
        self.lying.clear()

    def shoot(self, machine: Machine, effect: Fence) -> None:
        device = next(d for d in self.world.cluster.fences if d.name == effect.device)
        takes_s = self.slow.get(device.name, _SHOT_S) * (0.5 + self.random.random())
        works = self._works(device.name) and takes_s <= device.timeout_s
        acts = works or self.random.random() < 0.3  # Sometimes only the answer is lost.
        ends_s = min(takes_s, device.timeout_s)
        engine, shot = machine.engine, (machine.name, machine.life, effect.token)
        if acts and effect.action != "status" and device.name not in self.lying:
            machine.later(ends_s * self.random.random(), lambda: self._off(machine, effect, shot))

        def answer() -> None:
            self.shots.append((self.world.now, machine.name, device.name, effect.server, works))
            if shot in self.given_up:
                return
            if machine.daemon and machine.engine is engine:
                detail = self._status(effect) if works else "it was told to fail"
                machine.feed(FenceDone(token=effect.token, ok=works, detail=detail))

        machine.later(ends_s, answer)

    def give_up(self, machine: Machine, token: int) -> None:
        self.given_up.add((machine.name, machine.life, token))
        machine.later(0.01, lambda: machine.feed(FenceDone(token=token, ok=False, detail="given up")))

    def _works(self, device: str) -> bool:
        left = self.failing.get(device, 0)
        if left > 0:
            self.failing[device] = left - 1
        return left == 0

    def _status(self, effect: Fence) -> str:
        if effect.action != "status":
            return ""
        return "on" if self.world.machines[effect.server].on else "off"

    def _off(self, machine: Machine, effect: Fence, shot: tuple[str, int, int]) -> None:
        world = self.world
        if shot in self.given_up:
            return
        world.line(effect.server, "fenced", f"{effect.action} by {machine.name} with {effect.device}")
        world.crash(effect.server)
        if effect.action == "reboot":
            world.machines[effect.server].boot(BOOT_S)


def with_fences(cluster: Cluster) -> Cluster:
    """Each server has a power controller of its own; behind that, all have two power supplies on two switches."""
    own = [
        FenceDevice(name=f"bmc-{name}", agent="fence_ipmilan", level=1, timeout_s=10.0, overrides={name: {}})
        for name in cluster.server_names
    ]
    switches = [FenceDevice(name=f"pdu{n}", agent="fence_apc", level=2, timeout_s=10.0) for n in (1, 2)]
    return replace(cluster, fences=(*own, *switches))


def faults(fuzzer: Fuzzer) -> list[tuple[int, Callable[[], None]]]:
    """For the fuzzer: (weight, fault). Devices never lie."""
    world, random = fuzzer.world, fuzzer.random
    devices = world.cluster.fences
    if not devices:
        return []

    def trouble() -> None:
        device = random.choice(devices)
        world.fences.failing[device.name] = random.choice([0, 0, 1, 2, ALWAYS])
        world.fences.slow[device.name] = random.choice([0.1, _SHOT_S, 2 * device.timeout_s])
        text = f"fails {world.fences.failing[device.name]} times, takes {world.fences.slow[device.name]} s"
        world.line(device.name, "device", text)

    return [(3, trouble)]


def _watchdog(machine: Machine, effect: Watchdog) -> None:
    """Its watchdog is that of Machine._arm_watchdog, where the configuration has self-fencing."""
    if machine.world.cluster.self_fencing:
        state = WatchdogState(state="armed" if effect.armed else "released")
        machine.later(0.01, lambda: machine.feed(state))


def _fence(machine: Machine, effect: Fence) -> None:
    machine.world.fences.shoot(machine, effect)


_abort_action = CARRIERS[Abort]


def _abort(machine: Machine, effect: Abort) -> None:
    """A token is of an action or of a shot."""
    if effect.token in machine.hands.running:
        _abort_action(machine, effect)
    else:
        machine.world.fences.give_up(machine, effect.token)


CARRIERS[Abort] = _abort
CARRIERS[Fence] = _fence
CARRIERS[Watchdog] = _watchdog
