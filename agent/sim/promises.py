"""What must hold at every moment of a simulated world, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from agent.engine import events as ev
from agent.engine.effects import Activate, Deactivate, Effect, HaltServer, Log
from agent.engine.exclusion import ABSOLUTE
from agent.wire.epoch import Epoch
from agent.wire.peer import Halt, Order

if TYPE_CHECKING:
    from agent.sim.machine import Machine
    from agent.sim.world import World


class Overlap(NamedTuple):
    """A group was active on several servers at once."""

    group: str
    servers: tuple[str, ...]
    since: float
    until: float | None  # None: it still is


class Promises:
    """`violations` are sentences with seed and time. `may_overlap` tells where a doubly active group is accepted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[str] = []
        self.overlaps: dict[str, Overlap] = {}  # group -> it is active on several servers now
        self.past_overlaps: list[Overlap] = []
        self.exclusive = {g.name: g.exclusive for g in world.cluster.groups if g.exclusive}
        self.may_overlap: Callable[[str], bool] = lambda group: False

    def check_overlap(self) -> None:
        """After each change of what runs anywhere."""
        world, seen, double = self.world, set[str](), set[str]()
        for machine in world.machines.values():
            if machine.hands.active:
                groups = machine.hands.groups()
                self._check_exclusion(machine.name, groups)
                double |= groups & seen
                seen |= groups
        for group in [g for g in self.overlaps if g not in double]:
            self.past_overlaps.append(self.overlaps.pop(group)._replace(until=world.now))
            world.line("", "overlap", f"of {group} is over")
        for group in sorted(double.difference(self.overlaps)):
            self._overlap(group)

    def _overlap(self, group: str) -> None:
        servers = tuple(self.world.active_on(group))
        self.overlaps[group] = Overlap(group, servers, self.world.now, None)
        text = f"{group} is active on {', '.join(servers)}"
        self.world.line("", "OVERLAP", text)
        if not self.may_overlap(group):
            self.violate(text)

    def _check_exclusion(self, server: str, groups: set[str]) -> None:
        """Absolute exclusion holds at every moment."""
        together = sorted(groups & self.exclusive.keys())
        if len(together) > 1 and any(self.exclusive[name] == ABSOLUTE for name in together):
            self.violate(f"{' and '.join(together)} are both active on {server}, though they exclude each other")

    def check_step(self, machine: Machine, event: ev.Event, promised: Epoch, effects: list[Effect]) -> None:
        """Invariants that hold at every step of every engine."""
        if isinstance(event, ev.Received) and isinstance(event.message, Order | Halt):
            epoch = event.message.epoch
            if epoch < promised and any(isinstance(e, Activate | Deactivate | HaltServer) for e in effects):
                self.violate(f"{machine.name} obeyed an order of epoch {epoch} after it had promised {promised}")
        written = self.world.notes
        for effect in effects:
            if isinstance(effect, Log):
                missing = [c for c in effect.note.causes if c not in written and c not in _ids(effects)]
                if missing:
                    self.violate(f"{effect.note.id} names causes that nobody wrote: {missing}")

    def violate(self, text: str) -> None:
        self.world.line("", "VIOLATION", text)
        self.violations.append(f"seed {self.world.seed}, {self.world.now:.3f} s: {text}")


def _ids(effects: list[Effect]) -> set[str]:
    return {e.note.id for e in effects if isinstance(e, Log)}
