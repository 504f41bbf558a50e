"""How long the silences between beats are: distributions of fixed size, per path, per peer and of our own lateness.

Rules of this file
- A gap is a silence within one life of a peer, from one beat to the next that was heard. One that outlasted the timeout
  is an interruption and counted apart: nobody knows from here whether a cable was pulled or the timeout is too short.
- Per path, and per peer over all of its paths together: the latter decides.
- "Today" are the newest 12 to 24 hours, in two windows that take turns; what is older is kept in one sum.
- A percentile is told as the upper end of its bucket, never too low; the worst is exact.

No clock; standard library only: the heartbeat child runs it, and the simulator runs without.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from math import inf, log2
from operator import add
from typing import NamedTuple

WINDOW_S = 12 * 3600.0
_AN_OCTAVE = 8  # buckets: each ends 9 % above the one before
_BELOW = 10 * _AN_OCTAVE  # the first ends just above 1/1024 s
_LAST = _BELOW + 12 * _AN_OCTAVE  # and the last holds everything above an hour
_NOTHING = bytes(8 * (_LAST + 1))


class Figures(NamedTuple):
    """What is told of one distribution. Times in the clock of the caller."""

    beats: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float
    worst_at: float  # 0.0: there was none
    since: float
    ever_ms: float  # the worst since the start
    cuts: int  # interruptions since the start
    cut_ms: float  # the longest of them
    lately_ms: float = 0.0  # the longest since this was told last


class Gaps:
    """One distribution; about 4 kB, whatever happens."""

    __slots__ = (
        "_before", "_began", "_ever", "_lately_s", "_limit_s", "_now", "_older", "_since", "_worst", "cut_s", "cuts",
    )  # fmt: skip

    def __init__(self, start: float, limit_s: float) -> None:
        """From `limit_s` on a gap is an interruption."""
        self._limit_s = limit_s
        self._now = array("Q", _NOTHING)
        self._before = array("Q", _NOTHING)
        self._older = array("Q", _NOTHING)
        self._began = start  # of the newest window
        self._since = start  # of the one before
        self._worst = [(0.0, 0.0), (0.0, 0.0)]  # (s, when) of the newest window, and of the one before
        self._ever = 0.0
        self._lately_s = 0.0
        self.cuts = 0
        self.cut_s = 0.0

    def add(self, gap_s: float, at: float) -> None:
        """Must stay cheap: it is called for every beat."""
        if gap_s >= self._limit_s:
            self.cuts += 1
            self.cut_s = max(self.cut_s, gap_s)
            return
        bucket = int(log2(gap_s) * _AN_OCTAVE + _BELOW) if gap_s > 0.001 else 0
        self._now[bucket if bucket < _LAST else _LAST] += 1
        if gap_s > self._lately_s:
            self._lately_s = gap_s
        if gap_s > self._worst[0][0]:
            self._worst[0] = (gap_s, at)

    def turn(self, now: float) -> bool:
        """Begin a new window when it is time; what was before the last one leaves "today". True: one has begun."""
        if now < self._began + WINDOW_S:
            return False
        self._older = array("Q", map(add, self._older, self._before))
        self._ever = max(self._ever, self._worst[1][0])
        self._before, self._now = self._now, array("Q", _NOTHING)
        self._worst = [(0.0, 0.0), self._worst[0]]
        self._since, self._began = self._began, now
        return True

    def told(self) -> Figures:
        """Today's, with the longest since the last time that this was asked for."""
        lately_s, self._lately_s = self._lately_s, 0.0
        return self.today()._replace(lately_ms=_ms(lately_s))

    def shares(self, *shares: float) -> tuple[int, list[float]]:
        """How many there were today; for each share the length in ms that it does not exceed."""
        counts = list(accumulate(map(add, self._now, self._before)))
        worst_s, _ = max(self._worst)
        places = [bisect_left(counts, share * counts[-1]) for share in shares]
        return counts[-1], [_ms(min(_end_s(place), worst_s)) for place in places]

    def today(self) -> Figures:
        worst_s, worst_at = max(self._worst)
        count, (p50, p99, p999) = self.shares(0.5, 0.99, 0.999)
        return Figures(
            count, p50, p99, p999, _ms(worst_s), worst_at, self._since,
            _ms(max(self._ever, worst_s)), self.cuts, _ms(self.cut_s),
        )  # fmt: skip

    def ever(self) -> list[tuple[float, int]]:
        """(upper end in s, how many) of every bucket that holds something, since the start."""
        counts = [sum(three) for three in zip(self._now, self._before, self._older, strict=True)]
        return [(_end_s(bucket), count) for bucket, count in enumerate(counts) if count]


class Meter:
    """All distributions of one server."""

    def __init__(self, start: float, timeout_s: float, peers: Mapping[str, Iterable[str]]) -> None:
        """`peers`: server -> its heartbeats."""
        self.paths = {server: {path: Gaps(start, timeout_s) for path in paths} for server, paths in peers.items()}
        self.peers = {server: Gaps(start, timeout_s) for server in peers}
        self.late = Gaps(start, inf)  # how much later than planned we ran
        self.daemon = Gaps(start, inf)  # how much later than due the daemon spoke to us
        self.lease = Gaps(start, timeout_s)  # how old the lease was when it was renewed
        self._lease_since = 0.0

    def lease_renewed(self, since: float, now: float) -> None:
        """`since`: when the beat was sent that a majority has confirmed; called as often as one likes."""
        if since > self._lease_since:
            if self._lease_since:
                self.lease.add(now - self._lease_since, now)
            self._lease_since = since

    def turn(self, now: float) -> None:
        for gaps in self._all():
            gaps.turn(now)

    def _all(self) -> Iterable[Gaps]:
        yield from (self.late, self.daemon, self.lease, *self.peers.values())
        for paths in self.paths.values():
            yield from paths.values()


def _end_s(bucket: int) -> float:
    return float(2.0 ** ((bucket + 1 - _BELOW) / _AN_OCTAVE))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
