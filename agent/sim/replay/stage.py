"""The world in which a recorded case is played: it remembers starts, fenced servers and who had the majority."""

from __future__ import annotations

from collections.abc import Callable, Collection

from agent.clpconf.model import Cluster
from agent.sim.machine import Machine
from agent.sim.world import World
from agent.wire.report import Note

DEFAULTS: dict[str, tuple[str, ...]] = {}


class Start:
    """A group that was started: when, where, and the note."""

    __slots__ = ("at", "group", "note", "server")

    def __init__(self, at: float, group: str, server: str, note: Note) -> None:
        self.at, self.group, self.server, self.note = at, group, server, note


class Stage(World):
    """A server that was reset stays off, as in the records, until it is switched on by name.

    Who may start something is judged without the engine's own idea of it: who hears more than half of all servers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.kept_off: set[str] = set()
        self.isolated: set[str] = set()
        self.fenced: dict[str, tuple[float, str]] = {}  # server -> when, how
        self.gone: dict[str, float] = {}  # server whose groups others have taken -> when
        self.starts: list[Start] = []
        self.overlaps: list[str] = []
        self.moved_at = 0.0  # when something was last said of any group
        self.listeners: list[Callable[[Note], None]] = []
        self.minority_since: dict[str, float] = {}
        self.was_minority: dict[str, float] = {}  # server that ran -> when it last lost the majority
        super().__init__(cluster, seed=1, defaults=DEFAULTS, start=False)

    # Faults -----------------------------------------------------------------------------------------------------

    def power_on(self, name: str) -> None:
        if name not in self.kept_off:
            super().power_on(name)
            self._look()

    def crash(self, name: str) -> None:
        super().crash(name)
        self._look()

    def switch_on(self, name: str) -> None:
        """By hand: also after a reset, and with its network."""
        self.kept_off.discard(name)
        self.connect(name)
        self.power_on(name)

    def isolate(self, name: str) -> None:
        self.isolated.add(name)
        self._wire()

    def connect(self, name: str) -> None:
        self.isolated.discard(name)
        self._wire()

    def _wire(self) -> None:
        self.network.cuts.clear()
        for name in self.isolated:
            for path in range(self.network.paths):
                self.network.cut_lan(path, name)
        self._look()

    def _look(self) -> None:
        """Who has the majority now?"""
        up = {name for name, machine in self.machines.items() if machine.on}
        together = frozenset(up - self.isolated)
        parts = [together, *(frozenset([name]) for name in sorted(up & self.isolated))]
        many = next((part for part in parts if 2 * len(part) > len(self.machines)), frozenset[str]())
        for name in self.machines:
            if name in many:
                self.minority_since.pop(name, None)
            elif name not in self.minority_since:
                self.minority_since[name] = self.was_minority[name] = self.now

    # What is remembered -----------------------------------------------------------------------------------------

    def line(self, server: str, what: str, text: str) -> None:
        super().line(server, what, text)
        if what == "watchdog":
            self._fenced(server, "reset by its watchdog")
        elif what == "halt" and text in ("panic", "reset"):
            self._fenced(server, "reset itself")
        elif what == "fenced":
            self._fenced(server, "forced off by its fence device")
        elif what == "OVERLAP":
            self.overlaps.append(f"{self.now:.1f} s: {text}")

    def noted(self, note: Note) -> None:
        super().noted(note)
        for listener in self.listeners:
            listener(note)
        if note.kind == "group":
            self.moved_at = self.now
        match note.module, note.event:
            case "rc", 10:
                self.starts.append(Start(self.now, note.name, note.server, note))
                self._judge_start(note)
            case "cp", 7:
                self.fenced.setdefault(note.server, (self.now, "stopped itself when its lease ended"))
            case "rc", 60:
                self._taken_over(note)

    def _fenced(self, server: str, how: str) -> None:
        self.kept_off.add(server)
        self.fenced[server] = (self.fenced.get(server, (self.now, ""))[0], how)

    def _taken_over(self, note: Note) -> None:
        """A group is taken from a server that is no member any more. Where it has power still, it counts as fenced:
        by time, since nothing else can have stopped it."""
        old = note.params[1]
        writer = self.machines[note.server]
        if writer.daemon and old in self.machines and old not in writer.engine.membership.view.members:
            self.gone.setdefault(old, self.now)
            if self.machines[old].on:
                self.fenced.setdefault(old, (self.now, "lost, and taken for stopped"))

    def _judge_start(self, note: Note) -> None:
        since = self.minority_since.get(note.server)
        if self.cluster.majority and since is not None and self.now - since > self.cluster.timeout_s:
            self.promises.violate(f"{note.name} was started on {note.server}, which has no majority")

    # What came of it --------------------------------------------------------------------------------------------

    def runs_on(self, resources: Collection[str]) -> dict[str, list[str]]:
        """Resource -> servers on which it is really on; what failed on its way up is not."""
        return {r: [n for n, m in self.machines.items() if m.on and r in m.hands.active and not _failed(m, r)]
                for r in resources}  # fmt: skip

    def decisions(self, group: str) -> list[Note]:
        """What the cluster has decided about a group, newest last."""
        return [n for n in self.notes.values() if n.rule and n.kind in ("group", "request") and n.name == group]


def _failed(machine: Machine, resource: str) -> bool:
    group = machine.engine.groups.local.get(machine.hands.group_of[resource])
    return group is not None and group.resources[resource].state == "Online Failure"
