"""What a play means: what becomes of every group, why, and the steps on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.sim.explain import DECISIONS, roots
from agent.sim.world import World
from agent.wire.report import Note

_OFF = ("off", "paused")
_NO_ACTION = ("cp", 9)
# Steps that an administrator follows; the others explain them.
_STEPS = {
    "nm": {1, 2, 7}, "cp": {5, 7, 9, 10, 11, 12, 13, 15, 18, 20, 21, 22}, "pm": {2}, "apisv": {1, 2, 3, 4},
}  # fmt: skip
_ROWS = {"power": "server", "watchdog": "server", "halt": "server", "OVERLAP": "group", "cut": "heartbeat",
         "fenced": "server"}  # fmt: skip


class Step(msgspec.Struct, frozen=True, kw_only=True):
    at_s: float  # since the first event
    server: str
    kind: str
    name: str
    text: str
    rule: str = ""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one group."""

    group: str
    before: str  # server, "" where it was stopped
    after: tuple[str, ...]  # servers on which it runs at the end; more than one is a split
    outcome: str  # stays, restarts, moves, stops, starts, split
    outage_s: float | None  # None: it does not come back; 0.0: it is never away
    why: str = ""
    rule: str = ""
    because: tuple[str, ...] = ()  # the evidence


class Double(msgspec.Struct, frozen=True, kw_only=True):
    """A group was active on several servers at once."""

    group: str
    servers: tuple[str, ...]
    at_s: float
    for_s: float | None  # None: it still is in the end


class Story(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[str, ...]
    fates: dict[str, Fate]
    steps: tuple[Step, ...]
    lasted_s: float
    at_rest: bool  # False: something still went on at the limit
    doubles: tuple[Double, ...] = ()

    @property
    def touched(self) -> list[Fate]:
        return [fate for fate in self.fates.values() if fate.outcome != "stays"]


def disturbed(world: World, begin: float) -> set[str]:
    """Servers that lost power, time, their lease or their place in a view: whatever ran there was concerned."""
    found = {server for at, server, what, _ in world.rows if at >= begin and what in ("power", "halt", "watchdog")}
    everybody = set(world.cluster.server_names)
    for note in world.notes.values():
        if note.time < begin or note.module != "cp":
            continue
        if note.event == 2:
            found |= everybody - set(note.params[1].split(", "))
        elif note.event in (4, 5, 7, 9):
            found.add(note.server)
    for name, machine in world.machines.items():
        if machine.on and not (machine.engine.membership.in_view and machine.engine.membership.lease_held):
            found.add(name)
    return found & everybody


class Teller:
    """Makes a story of what has been played."""

    def __init__(self, world: World, begin: float, placed: Mapping[str, str]) -> None:
        self.world = world
        self.begin = begin
        self.placed = placed
        self.notes = sorted((n for n in world.notes.values() if n.time >= begin), key=lambda n: n.time)
        self.by_group: dict[str, list[Note]] = {}
        for note in self.notes:
            if note.kind == "group":
                self.by_group.setdefault(note.name, []).append(note)
        self.off = {server: at for at, server, what, text in reversed(world.rows)
                    if at >= begin and what == "power" and text in _OFF}  # fmt: skip

    def story(self, events: tuple[str, ...], rested: bool) -> Story:
        fates = {group.name: self._fate(group.name) for group in self.world.cluster.groups}
        return Story(
            events=events, fates=fates, steps=tuple(self._steps()), lasted_s=round(self.world.now - self.begin, 3),
            at_rest=rested, doubles=tuple(self._doubles()),
        )  # fmt: skip

    def _doubles(self) -> Iterable[Double]:
        promises = self.world.promises
        for each in (*promises.past_overlaps, *promises.overlaps.values()):
            lasted = None if each.until is None else round(each.until - each.since, 3)
            yield Double(group=each.group, servers=each.servers, at_s=round(each.since - self.begin, 3), for_s=lasted)

    def _fate(self, name: str) -> Fate:
        before = self.placed.get(name, "")
        after, notes = tuple(self.world.active_on(name)), self.by_group.get(name, [])
        away = self._away_at(before, notes)
        why = _decision(notes) or (None if after or not before else self._nobody_acts())
        roots_of = roots(self.world.notes, why) if why else []
        return Fate(
            group=name, before=before, after=after, outcome=_outcome(before, after, away),
            outage_s=_outage(after, away, notes), why=why.text if why else "", rule=why.rule if why else "",
            because=tuple(dict.fromkeys(note.text for note in roots_of if note is not why)),
        )  # fmt: skip

    def _nobody_acts(self) -> Note | None:
        """Nothing was said of the group, since nobody could do anything."""
        return next((n for n in reversed(self.notes) if (n.module, n.event) == _NO_ACTION), None)

    def _away_at(self, before: str, notes: list[Note]) -> float | None:
        """When it stopped to serve; None when it never did."""
        left = [n.time for n in notes if n.before == "Online" and n.server == before]
        times = [*left[:1], *([self.off[before]] if before in self.off else [])]
        return min(times, default=None) if before else self.begin

    def _steps(self) -> Iterable[Step]:
        """Each sentence once: what 31 servers notice is told by the first."""
        rows = [(n.time, n.server, str(n.kind), n.name, n.text, n.rule) for n in self.notes if _is_step(n)]
        rows += [
            (at, server, _ROWS[what], server, _sentence(server, what, text), "")
            for at, server, what, text in self.world.rows
            if at >= self.begin and what in _ROWS
        ]
        rows += [(n.time, n.server, "cluster", n.name, self._view(n), n.rule) for n in self.notes
                 if (n.module, n.event) == ("cp", 2)]  # fmt: skip
        told: set[tuple[str, ...]] = set()
        for at, server, kind, name, text, rule in sorted(rows, key=lambda row: row[0]):
            if (kind, name, text) not in told:
                told.add((kind, name, text))
                yield Step(at_s=round(at - self.begin, 3), server=server, kind=kind, name=name, text=text, rule=rule)

    def _view(self, note: Note) -> str:
        """Only some servers are played: the note itself would name too few."""
        _, members, coordinator = note.params
        without = [name for name in self.world.cluster.server_names if name not in members.split(", ")]
        who = f"all but {', '.join(without)}" if without else "all servers"
        return f"A view with {who} is in force; {coordinator} coordinates."


def _decision(notes: list[Note]) -> Note | None:
    """What has settled where it is now."""
    decided = [n for n in notes if (n.module, n.event) in DECISIONS or n.rule]
    return decided[-1] if decided else notes[-1] if notes else None


def _outage(after: tuple[str, ...], away: float | None, notes: list[Note]) -> float | None:
    if not after:
        return None
    if away is None:
        return 0.0
    online = [n.time for n in notes if n.after == "Online" and n.server in after and n.time >= away]
    return round(online[-1] - away, 3) if online else None


def _is_step(note: Note) -> bool:
    return note.kind == "group" or (note.module, note.event) in DECISIONS or note.event in _STEPS.get(note.module, ())


def _outcome(before: str, after: tuple[str, ...], away: float | None) -> str:
    if len(after) > 1:
        return "split"
    if not after:
        return "stops" if before else "stays"
    if not before:
        return "starts"
    if after != (before,):
        return "moves"
    return "stays" if away is None else "restarts"


def _sentence(server: str, what: str, text: str) -> str:
    said = text if what == "OVERLAP" else f"{what} {text}"
    return f"{server}: {said}" if server else said
