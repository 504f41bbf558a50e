"""The notes as evidence: in order, by their causes, by the server and by the group that they are about."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from agent.wire.order import placed
from agent.wire.report import Note

LOST = frozenset((("nm", 2), ("cp", 13), ("cp", 18), ("rc", 401), ("rc", 405), ("cp", 25)))  # a server
_CHAIN_MOST = 200
_FORGET_S = 3600.0  # A suspicion so long before a verdict was another one.
_SECONDS = re.compile(r"(\d+(?:\.\d+)?) s\b")


class Line(NamedTuple):
    at: float
    note: Note

    @property
    def event(self) -> tuple[str, int]:
        return self.note.module, self.note.event


class AtWork(Protocol):
    """A group, as far as it is known what it does."""

    name: str
    at_work: str  # the server that took a step last
    causes: set[str]  # of the steps under way

    @property
    def busy(self) -> bool: ...


def in_order(notes: Iterable[Note]) -> list[Line]:
    """By time, causes before effects; what a server wrote at one moment as it wrote it."""
    sane = {note.id: note for note in notes if math.isfinite(note.time)}
    at = placed(sane.values(), {})
    return sorted((Line(at[name], note) for name, note in sane.items()), key=place)


def place(line: Line) -> tuple[float, str, int, str]:
    """Where a line stands among others."""
    head, _, number = line.note.id.rpartition(":")
    return line.at, head, int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0, line.note.id


class Log:
    """The lines, and what can be asked about them."""

    def __init__(self, lines: Sequence[Line], owner: Mapping[str, str]) -> None:
        self.lines = lines
        self.owner = owner
        self.by_id = {line.note.id: line for line in lines}
        self.reborn: dict[str, Line] = {}  # server -> its newest start so far
        self._groups = {*owner.values(), *(line.note.name for line in lines if line.note.kind == "group")}
        self._effects: defaultdict[str, list[Line]] = defaultdict(list)
        self._about: defaultdict[str, list[Line]] = defaultdict(list)  # server -> what led to its verdict
        for line in lines:
            for cause in line.note.causes:
                self._effects[cause].append(line)
            if server := _about(line):
                self._about[server].append(line)

    def groups_of(self, line: Line, known: Mapping[str, AtWork]) -> list[str]:
        note = line.note
        if note.kind == "group":
            return [note.name] if note.name else []
        if note.kind == "resource":
            return [self.owner[note.name]] if note.name in self.owner else _by_cause(note, known)
        if note.module == "rm" and note.event in (12, 13, 14, 19, 20):
            target = param(note, 1 if note.event == 12 else 0)
            group = self.owner.get(target, target)
            return [group] if group in self._groups else []
        return []

    def chain(self, line: Line) -> list[Line]:
        """It and all that led to it, nearest first."""
        found, waiting, seen = [line], list(line.note.causes), {line.note.id}
        while waiting and len(found) < _CHAIN_MOST:
            name = waiting.pop(0)
            if name not in seen and name in self.by_id:
                seen.add(name)
                found.append(self.by_id[name])
                waiting += self.by_id[name].note.causes
        return found

    def last_heard(self, server: str, verdict: Line) -> float:
        """By the writer of the verdict, else by what the verdict says, else the verdict itself."""
        told = [one for one in self.about(server) if one.event == ("cp", 19) and one.at <= verdict.at]
        mine = [one for one in told if one.note.server == verdict.note.server] or told
        silence_s = _number(param(mine[-1].note, 1)) if mine else None
        if silence_s is not None and verdict.at - mine[-1].at < _FORGET_S:
            return mine[-1].at - silence_s
        if verdict.event == ("nm", 2) and (said := _SECONDS.search(param(verdict.note, 1))):
            return verdict.at - float(said[1])
        return verdict.at

    def effects(self, cause: str) -> list[Line]:
        return self._effects.get(cause, [])

    def about(self, server: str) -> list[Line]:
        """What led to the verdict about it, and what was done to it."""
        return self._about.get(server, [])


def _about(line: Line) -> str:
    """The server of whose loss or forcing off it tells."""
    if line.event in (("cp", 19), ("nm", 2), ("cp", 15), ("cp", 13), ("cp", 18), ("cp", 7)):
        return param(line.note, 0)
    if line.note.module == "rc" and 400 <= line.note.event <= 433:
        return param(line.note, 0)
    return param(line.note, 1) if line.event == ("nm", 4) else ""


def _by_cause(note: Note, known: Mapping[str, AtWork]) -> list[str]:
    """Of a resource that no configuration names any more: the group that is at work there for the same reason."""
    causes = set(note.causes)
    return [g.name for g in known.values() if g.busy and g.at_work == note.server and causes & g.causes][:1]


def lost(chain: Sequence[Line]) -> Line | None:
    return next((line for line in chain if line.event in LOST), None)


def param(note: Note, index: int) -> str:
    return note.params[index] if len(note.params) > index else ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 <= value < 1e6 else None
