"""Finds recoveries in the notes of the servers: pure; any notes are taken, in any order, each once.

Rules of this file
- A recovery begins with the first decision about a group (fails over, is moved, restarted, goes home, was chosen to
  start, a monitor asks) or with the first step that takes it down or up. It ends when the group is online on a server
  and nothing is left to do, or when it is down as was wished, or when nothing follows any more.
- A group that went down against everybody's wish and comes up without an operator's request is one recovery,
  however long that takes and however many servers are tried.
- An outage begins at the last moment in which the group surely served: when its lost server was heard last, when a
  monitor found the error that led to the recovery, else when the first step took it down. It belongs to the recovery
  that took the group down, and lasts until it is online again, whoever brought it up.
- Planned is what an operator asked for (a pretended failure too), as long as nothing failed on the way.
- The awkward case: a side of a cut stops its groups before the other side misses it. Both are one recovery; what the
  first one writes comes late, so all is found again from the notes each time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from agent.wire.report import Note
from webmanager.recoveries.evidence import LOST, Line, Log, in_order, lost, param, place
from webmanager.recoveries.steps import Step, Steps

QUIET_S = 60.0  # Nothing was written for so long and no step is under way: nothing follows.
STUCK_S = 6 * 3600.0  # So long a step that never ended is waited for.
SEQUEL_S = 600.0  # A start that failed and the next attempt by itself are one.

# What a decision makes of the group; a stronger one gives the recovery its kind.
_DECISIONS = {
    ("rc", 64): "start", ("rc", 70): "restart", ("rm", 13): "restart", ("rc", 74): "failback", ("rc", 50): "move",
    ("rm", 14): "failover", ("rc", 60): "failover", ("rm", 12): "stop", ("rc", 66): "failover",
}  # fmt: skip
_STRENGTH = ("stop", "start", "restart", "failback", "move", "failover")
_NOWHERE = frozenset((("rc", 63), ("rc", 66), ("rc", 69), ("rc", 77), ("rc", 62), ("rc", 52), ("rc", 76)))
_OPENING = frozenset((*_DECISIONS, ("rc", 10), ("rc", 20)))
_ANEW = frozenset((("rc", 10), ("rc", 60), ("rc", 64)))  # A server that was reborn runs nothing until one of these.
_STAYS = ("rc", 67)
_FAILURES = frozenset(
    (("rc", 12), ("rc", 22), ("rc", 32), ("rc", 42), ("rc", 230), ("rc", 231), ("rc", 90), ("rc", 91))
)
# What the causes of a decision may end at, the most telling first.
_TRIGGERS: tuple[tuple[str, frozenset[tuple[str, int]]], ...] = (
    ("double", frozenset((("rc", 92), ("rc", 502), ("cp", 12)))),
    ("server", LOST),
    ("monitor", frozenset((("rm", 9),))),
    ("resource", frozenset((("rc", 32), ("rc", 12), ("rc", 230)))),
    ("partition", frozenset((("cp", 4), ("cp", 5), ("cp", 7), ("cp", 23), ("cp", 24), ("nm", 30)))),
    ("operator", frozenset((("apisv", 1),))),
    ("returned", frozenset((("rc", 74),))),
    ("startup", frozenset((("rc", 64), ("pm", 1)))),
)


class Standing(NamedTuple):
    """How a group stood before the first note."""

    on: tuple[str, ...] = ()
    down_key: str = ""  # of the recovery whose outage is not over


class Found(msgspec.Struct, kw_only=True):
    """One recovery; times as in Recovery."""

    key: str
    group: str
    kind: str
    trigger: str
    begun: float
    subject: str = ""  # the server, monitor, resource or user that the trigger names
    result: str = "running"
    planned: bool = False
    source: str = ""
    target: str = ""
    ended: float | None = None
    outage_from: float | None = None
    outage_to: float | None = None
    heard_at: float | None = None  # the last that was heard of the lost server
    verdict_at: float | None = None
    decided_at: float | None = None
    rule: str = ""
    failed: bool = False
    steps: list[Step] = []
    lines: list[Line] = []


class Sifting(NamedTuple):
    found: list[Found]
    over: dict[tuple[str, str], float]  # (group, key) of a recovery from before -> when its outage ended


def sift(
    notes: Iterable[Note], owner: Mapping[str, str], now: float, before: Mapping[str, Standing] | None = None,
    since: float = -math.inf, only: Collection[str] | None = None,
) -> Sifting:  # fmt: skip
    """`owner`: resource -> its group. `before`: group -> how it stood at `since`; who is missing is not known.

    What was written before `since` is only evidence. `only`: of these groups."""
    log = Log(in_order(notes), owner)
    groups: dict[str, _Group] = {}
    for line in log.lines:
        if line.event == ("pm", 1) and line.at >= since:
            log.reborn[line.note.server] = line
        for name in log.groups_of(line, groups) if line.at >= since else ():
            if only is not None and name not in only:
                continue
            if name not in groups:
                groups[name] = _Group(name, log, (before or {}).get(name))
            groups[name].take(line)
    for group in groups.values():
        group.settle(now)
    found = sorted(
        (one for group in groups.values() for one in group.found), key=lambda one: (one.begun, one.group, one.key)
    )
    for one in found:
        _tell(log, one)
    return Sifting(found, {(name, key): at for name, group in groups.items() for key, at in group.over.items()})


class _Group:
    """One group through all notes."""

    def __init__(self, name: str, log: Log, before: Standing | None) -> None:
        self.name = name
        self.found: list[Found] = []
        self.over: dict[str, float] = {}
        self.open: Found | None = None
        self.at_work = ""  # server that took a step last
        self.causes: set[str] = set()  # of the steps under way
        self._log = log
        self._on: set[str] | None = set(before.on) if before is not None else None  # None: not known yet
        self._down: Found | None = None
        self._down_key = before.down_key if before is not None else ""
        self._state = ""  # the newest
        self._steps = Steps()
        self._came_up: dict[str, float] = {}  # server -> when it was online there last
        self._to_come = False  # a start was decided and has not happened

    @property
    def busy(self) -> bool:
        return self.open is not None

    # What comes in.

    def take(self, line: Line) -> None:
        event = line.event
        if self.open is not None and self._gave_up(line):
            self.settle(line.at)
        if self.open is None:
            if event == ("rc", 92):
                self._twice(line)
            elif event == ("rc", 11):
                self._online(line)
            elif event in _OPENING or (event in _NOWHERE and self._is_lost(line)):
                self._begin(line)
            elif event in _NOWHERE and self.found:
                self.found[-1].lines.append(line)  # It is said again: still nowhere.
        if self.open is not None:
            self.open.lines.append(line)
            self._go_on(line)

    def _go_on(self, line: Line) -> None:
        assert self.open is not None
        event, note = line.event, line.note
        self.open.failed |= event in _FAILURES
        if event in _ANEW:
            self._bury(line)
        if event in _DECISIONS:
            self._decide(line)
        if event in _NOWHERE:
            if event not in _DECISIONS:
                self._mourn(line)
            self._to_come = False
            if not self._on:
                self._close(line.at, "failed")
        elif event == _STAYS and self._on:
            self._close(line.at, "online")
        elif note.kind == "group" and note.module == "rc" and note.after:
            self._step_of_group(line)
        elif note.kind in ("resource", "group"):
            self._steps.take(line.at, note)

    def _is_lost(self, line: Line) -> bool:
        """Nowhere to go, and the server that it ran on is lost."""
        verdict = lost(self._log.chain(line))
        return verdict is not None and self._on is not None and param(verdict.note, 0) in self._on

    def _twice(self, line: Line) -> None:
        self._on = {name.strip() for name in param(line.note, 1).split(",") if name.strip()}
        self._back(line.at)

    def _bury(self, line: Line) -> None:
        """A server that started anew runs nothing of what it ran before, unless it is told so."""
        for server in sorted(self._on or ()):
            reborn = self._log.reborn.get(server)
            is_new = reborn is not None and reborn.at > self._last_online(server)
            if reborn is None or not is_new or (line.event == ("rc", 10) and line.note.before == "Online"):
                continue
            assert self.open is not None
            if self.open.trigger != "operator":
                self.open.trigger, self.open.subject, self.open.planned = "server", server, False
            self._lose(server, reborn, False)

    def _gave_up(self, line: Line) -> bool:
        """Long silence, then something else begins: what was open has ended there."""
        assert self.open is not None
        last = self.open.lines[-1].at
        return line.event in _DECISIONS and line.at - last > QUIET_S and (bool(self._on) or self.open.planned)

    def _begin(self, line: Line) -> None:
        chain = self._log.chain(line)
        trigger, first = _trigger(chain)
        if trigger != "operator" and (again := self._again(line)) is not None:
            again.result, again.ended = "running", None
            self.open = again
            return
        decision = line if line.event in _DECISIONS else next((c for c in chain[1:] if c.event in _DECISIONS), line)
        last = self.found[-1] if self.found else None
        if last is not None and any(decision.note.id == one.key for one in self.found):
            # It obeys an old decision anew: that one is told of already.
            decision = first = line
            trigger = "other"
        kind = _DECISIONS.get(decision.event, self._kind_of_step(line, trigger))
        key = decision.note.id if decision is not line else _key(line, {one.key for one in self.found})
        self.open = Found(
            key=key, group=self.name, kind=kind, trigger=trigger, subject=_subject(trigger, first), begun=first.at,
            planned=_is_wished(trigger, first, chain, self._log), verdict_at=first.at, rule=decision.note.rule,
        )  # fmt: skip
        self.open.lines, self.open.steps = [], []
        self._steps = Steps()
        self._to_come = False
        self.found.append(self.open)

    def _again(self, line: Line) -> Found | None:
        """The recovery before, when it has not succeeded and this is its sequel."""
        last = self.found[-1] if self.found else None
        if last is None or self._on or last.planned or last.kind == "stop":
            return None
        fresh = last.ended is not None and line.at - last.ended < SEQUEL_S
        return last if self._down is last or (last.result == "failed" and fresh) else None

    def _kind_of_step(self, line: Line, trigger: str) -> str:
        if line.event in _NOWHERE:
            return "failover"
        if line.event == ("rc", 10):
            return "restart" if line.note.before == "Online" else "start"
        if self._on and line.note.server not in self._on:
            return "stop"  # It runs elsewhere: here it was one too many.
        return "failover" if trigger in ("partition", "server", "resource") else "stop"

    def _decide(self, line: Line) -> None:
        assert self.open is not None
        one, event = self.open, line.event
        kind = _DECISIONS[event]
        if _STRENGTH.index(kind) >= _STRENGTH.index(one.kind):
            one.kind = kind
        one.rule = line.note.rule or one.rule
        if one.decided_at is None or not one.steps:
            one.decided_at = line.at
        if event in (("rc", 60), ("rc", 50)):
            one.source, one.target = one.source or param(line.note, 1), param(line.note, 2)
        elif event in (("rc", 74), ("rc", 64), ("rc", 70)):
            one.target = param(line.note, 1)
        self._to_come = kind not in ("stop",) and event not in _NOWHERE
        verdict = lost(self._log.chain(line))
        if verdict is not None:
            one.failed |= one.trigger == "operator"
            server = param(verdict.note, 0)
            self._lose(server, verdict, event == ("rc", 60) and one.source == server)
        elif event == ("rc", 64) and self._on:
            self._leave(set(self._on), line.at)  # It is started anew, so it ran nowhere any more.

    def _mourn(self, line: Line) -> None:
        verdict = lost(self._log.chain(line))
        if verdict is not None:
            self._lose(param(verdict.note, 0), verdict, False)

    def _lose(self, server: str, verdict: Line, was_there: bool) -> None:
        """`server` is lost; `was_there`: the decision says that the group was."""
        assert self.open is not None
        heard = self._log.last_heard(server, verdict)
        self.open.verdict_at = verdict.at if self.open.verdict_at is None else max(verdict.at, self.open.verdict_at)
        if self._on is None and was_there:
            self._on = {server}
        if self._on is not None and server in self._on:
            self.open.heard_at, self.open.source = heard, self.open.source or server
            self._leave({server}, max(heard, self._last_online(server)))

    def _last_online(self, server: str) -> float:
        return self._came_up.get(server, -math.inf)

    def _step_of_group(self, line: Line) -> None:
        assert self.open is not None
        server, before, after = line.note.server, line.note.before, line.note.after
        self._state, self.at_work, self.causes = after, server, set(line.note.causes)
        if before in ("Online", "Online Pending") and self._on is None:
            self._on = {server} if before == "Online" else set()
        if after != "Online" and self._on and server in self._on:
            self.open.source = self.open.source or server
            self._leave({server}, self._from(line))
        if after == "Online":
            self._online(line)
        elif after == "Offline" and not self._to_come and self.open.kind == "stop":
            self._close(line.at, "online" if self._on else "stopped")
        elif after == "Online Pending":
            self._to_come = True

    def _from(self, line: Line) -> float:
        """Since when it does not serve: of a monitor's error, since that."""
        assert self.open is not None
        if self.open.trigger == "monitor" and self.open.verdict_at is not None:
            return min(line.at, max(self.open.verdict_at, self._last_online(line.note.server)))
        return line.at

    def _leave(self, servers: set[str], at: float) -> None:
        assert self.open is not None
        assert self._on is not None
        self._on -= servers
        if not self._on and self._down is None and not self._down_key:
            self._down, self.open.outage_from = self.open, at
            self.open.begun = min(self.open.begun, at)

    def _online(self, line: Line) -> None:
        server = line.note.server
        self._on = {*(self._on or ()), server}
        self._came_up[server] = line.at
        self._to_come = False
        self._back(line.at)
        if self.open is not None:
            self.open.target = server
            self._close(line.at, "partly" if self._steps.left_out() else "online")

    def _back(self, at: float) -> None:
        if self._down is not None:
            self._down.outage_to = max(at, self._down.outage_from or at)
            self._down = None
        if self._down_key:
            self.over[self._down_key] = at
            self._down_key = ""

    # How it ends.

    def settle(self, now: float) -> None:
        """At the end of what is known: what will nothing more come of?"""
        one = self.open
        if one is None:
            return
        last = one.lines[-1].at if one.lines else one.begun
        patience = STUCK_S if self._state.endswith("Pending") or self._steps.running() else QUIET_S
        if now - last > patience:
            wished = one.kind == "stop" or one.planned
            self._close(last, "online" if self._on else "stopped" if wished and not one.failed else "failed")
        else:
            one.steps = self._steps.all(None)

    def _close(self, at: float, result: str) -> None:
        one = self.open
        assert one is not None
        one.result, one.ended = result, max(at, one.begun)
        if self._on and one.target not in self._on:
            one.target = min(self._on)
        one.steps = self._steps.all(one.ended)
        one.planned &= not one.failed
        self.open, self._to_come = None, False


def _key(line: Line, taken: Collection[str]) -> str:
    """A step before its decision has come is known by the decision all the same."""
    if line.event in _DECISIONS or not line.note.causes or line.note.causes[0] in taken:
        return line.note.id
    return line.note.causes[0]


def _trigger(chain: Sequence[Line]) -> tuple[str, Line]:
    for word, events in _TRIGGERS:
        for line in chain:
            if line.event in events:
                return word, line
    return "other", chain[-1]


def _subject(trigger: str, line: Line) -> str:
    if trigger in ("monitor", "resource"):
        return line.note.name
    if trigger in ("startup", "double", "other"):
        return ""
    return param(line.note, 1 if trigger == "returned" else 0)


def _is_wished(trigger: str, first: Line, chain: Sequence[Line], log: Log) -> bool:
    if trigger != "monitor":
        return trigger == "operator"
    pretended = False  # A monitor that pretends a failure because an operator asked it to.
    for line in log.lines:
        if line.at > first.at:
            break
        if line.note.name == first.note.name and line.note.server == first.note.server:
            pretended = line.event == ("rm", 180) or (pretended and line.event != ("rm", 181))
    return pretended


def _tell(log: Log, one: Found) -> None:
    """Gives it all lines that belong to it: its causes, what was written about the lost server, its effects."""
    own = {line.note.id: line for line in one.lines}
    all_ = {cause.note.id: cause for line in one.lines for cause in log.chain(line)} | own
    end = one.ended if one.ended is not None else math.inf
    for server in {param(line.note, 0) for line in all_.values() if line.event in LOST}:
        since = one.heard_at if one.heard_at is not None else one.begun
        all_ |= {x.note.id: x for x in log.about(server) if since - 1.0 <= x.at <= end}
    decided = {line.note.id for line in one.lines if line.event in _DECISIONS} or own.keys()
    for name in [*decided, *(n for line in one.lines for n in line.note.causes)]:
        for line in log.effects(name):
            if line.note.kind in ("request", "cluster") or line.note.name == one.group:
                all_.setdefault(line.note.id, line)
    kept = (line for line in all_.values() if line.at <= end + QUIET_S)
    one.lines = sorted(kept, key=place)
    fences = Steps()
    for line in one.lines:
        if line.note.module == "rc" and line.note.event in (400, 401, 402):
            fences.fence(line.at, line.note)
    one.steps = sorted([*one.steps, *fences.all(one.ended)], key=lambda step: step.begun)
