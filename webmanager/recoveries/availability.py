"""How available a group was in a time: pure. The rules are those that the page tells.

Rules of this file
- Down is what a recovery says: from the last moment in which the group surely served until it was online again.
- Planned is down because an operator or a drill wished it, and nothing failed. Where both overlap it is unplanned.
- Not known is the time in which the manager heard no agent of the cluster, or before it saw the group first. It counts
  neither as available nor as down, unless a recovery that was told later says that the group was down.
- A group that nobody has started yet is down as planned.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Span = tuple[float, float]
State = Literal["up", "planned", "unplanned", "unknown"]
_COUNTED = ("failover", "restart", "failback", "move", "start")


class Down(NamedTuple):
    """What a recovery says, as far as it is counted."""

    kind: str
    planned: bool
    result: str
    begun: float
    since: float | None
    until: float | None  # None with `since`: still down


class Sight(NamedTuple):
    at: float
    running: bool


class Board(NamedTuple):
    since: float
    until: float
    up_s: float
    planned_s: float
    unplanned_s: float
    unknown_s: float
    strip: tuple[tuple[State, float, float], ...]
    times: tuple[
        tuple[float, float], ...
    ]  # (when, how long) of each recovery from a failure that succeeded, oldest first
    recoveries: int

    @property
    def known_s(self) -> float:
        return self.up_s + self.planned_s + self.unplanned_s

    @property
    def percent(self) -> float | None:
        """Of the time that is known; None: nothing is."""
        return 100.0 * self.up_s / self.known_s if self.known_s > 0 else None

    @property
    def percent_unplanned(self) -> float | None:
        """The same when planned outages are forgiven: what an objective is compared with."""
        return 100.0 * (1.0 - self.unplanned_s / self.known_s) if self.known_s > 0 else None

    @property
    def median_s(self) -> float | None:
        return statistics.median(lasted for _, lasted in self.times) if self.times else None

    @property
    def worst_s(self) -> float | None:
        return max((lasted for _, lasted in self.times), default=None)


def board(since: float, until: float, sight: Sight | None, downs: Sequence[Down], listened: Iterable[Span]) -> Board:
    """`downs` in any order."""
    until = max(since, until)
    told = [d for d in downs if d.since is not None]
    unplanned = _union(_spans(told, until, planned=False))
    planned = _union([*_spans(told, until, planned=True), *_unstarted(sight, downs, until)])
    seen = sight.at if sight is not None else until
    known = _union((max(begin, seen), end) for begin, end in listened)
    strip = _strip(since, until, unplanned, planned, known)
    sums = dict.fromkeys(("up", "planned", "unplanned", "unknown"), 0.0)
    for state, begin, end in strip:
        sums[state] += end - begin
    times = sorted(
        (d.begun, d.until - d.since)
        for d in told
        if not d.planned and d.until is not None and d.since is not None and since <= d.begun < until
    )
    count = sum(
        1 for d in downs if d.kind in _COUNTED and not d.planned and d.since is not None and since <= d.begun < until
    )
    return Board(
        since, until, sums["up"], sums["planned"], sums["unplanned"], sums["unknown"], strip, tuple(times), count
    )


def _spans(told: Iterable[Down], until: float, *, planned: bool) -> list[Span]:
    return [(d.since or 0.0, until if d.until is None else d.until) for d in told if d.planned == planned]


def _unstarted(sight: Sight | None, downs: Sequence[Down], until: float) -> list[Span]:
    """From the first sight of a group that did not run until something brought it up."""
    if sight is None or sight.running:
        return []
    up = min(
        (d.until or d.begun for d in downs if d.result in ("online", "partly") and d.begun >= sight.at), default=until
    )
    return [(sight.at, up)]


def _union(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _strip(
    since: float, until: float, unplanned: Sequence[Span], planned: Sequence[Span], known: Sequence[Span]
) -> tuple[tuple[State, float, float], ...]:
    """One state after the other, without a gap."""
    edges = {since, until}
    for spans in (unplanned, planned, known):
        edges.update(min(max(edge, since), until) for span in spans for edge in span)
    at = sorted(edges)
    layers: tuple[tuple[State, _Cover], ...] = (
        ("unplanned", _Cover(unplanned)), ("planned", _Cover(planned)), ("up", _Cover(known)),
    )  # fmt: skip
    found: list[tuple[State, float, float]] = []
    for begin, end in pairwise(at):
        state: State = next((state for state, cover in layers if cover.holds(begin, end)), "unknown")
        if found and found[-1][0] == state:
            found[-1] = (state, found[-1][1], end)
        else:
            found.append((state, begin, end))
    return tuple(found)


class _Cover:
    """Spans, asked for one piece after the other from left to right."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._index = 0

    def holds(self, begin: float, end: float) -> bool:
        while self._index < len(self._spans) and self._spans[self._index][1] < end:
            self._index += 1
        return self._index < len(self._spans) and self._spans[self._index][0] <= begin
