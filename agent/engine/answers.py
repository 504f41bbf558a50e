"""How long the checks of one monitor take: a distribution of fixed size, and what of it is worth telling.

Rules of this file
- Only good answers have a length: a refusal comes fast and says nothing about how long an answer takes. What was given
  up at the timeout is counted apart, as nobody knows how long it would have taken.
- What has hardly changed is not told again: each telling goes to every server and to the managers. So the newest
  lengths stay as they were told while they differ by less than a fifth or by a millisecond, and the count until it has
  grown by a tenth.
- Figures decide nothing: they are for the administrator who chooses the timeout.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from agent.engine.gaps import Gaps
from agent.wire.report import ResponseReport

_KEPT = 64  # newest answers, of which the middle one is told
_FIFTH = 1.2
_LEAST_MS = 1.0


class Answers:
    """Of one monitor; about 5 kB, whatever happens. Times in the clock of reports."""

    __slots__ = ("_failures", "_gaps", "_lately", "_timeouts")

    def __init__(self, start: float, timeout_s: float) -> None:
        self._gaps = Gaps(start, timeout_s)
        self._timeouts = [0, 0]  # of the newest window, and of the one before
        self._failures = [0, 0]
        self._lately: deque[float] = deque(maxlen=_KEPT)

    def good(self, seconds: float, at: float) -> None:
        self._turn(at)
        self._gaps.add(seconds, at)
        self._lately.append(seconds)

    def bad(self, at: float, *, timed_out: bool) -> None:
        self._turn(at)
        (self._timeouts if timed_out else self._failures)[0] += 1

    def _turn(self, now: float) -> None:
        if self._gaps.turn(now):
            self._timeouts = [0, self._timeouts[0]]
            self._failures = [0, self._failures[0]]

    def report(self, told: ResponseReport | None) -> ResponseReport:
        """As it is now; the same object as `told` while there is nothing new to tell."""
        today = self._gaps.today()
        _, (p95_ms,) = self._gaps.shares(0.95)
        low_ms, mid_ms, high_ms = self._newest(told)
        now = ResponseReport(
            p50_ms=today.p50_ms, p95_ms=p95_ms, p99_ms=today.p99_ms, p999_ms=today.p999_ms, worst_ms=today.worst_ms,
            worst_at=round(today.worst_at, 3), count=_count(today.beats, told), timeouts=sum(self._timeouts),
            failures=sum(self._failures), since=round(today.since), low_ms=low_ms, mid_ms=mid_ms, high_ms=high_ms,
        )  # fmt: skip
        return told if told is not None and now == told else now

    def _newest(self, told: ResponseReport | None) -> tuple[float, float, float]:
        """(shortest, middle, longest) in ms since the last telling."""
        before = (told.low_ms, told.mid_ms, told.high_ms) if told is not None else (0.0, 0.0, 0.0)
        if not self._lately:
            # Answers come more seldom than we tell; but what only fails has no length any more.
            failed = told is not None and (sum(self._timeouts), sum(self._failures)) != (told.timeouts, told.failures)
            return (0.0, 0.0, 0.0) if failed else before
        newest = sorted(self._lately)
        self._lately.clear()
        found = (newest[0] * 1000, median(newest) * 1000, newest[-1] * 1000)
        same = all(alike(new, old) for new, old in zip(found, before, strict=True))
        return before if same and told is not None else (round(found[0], 2), round(found[1], 2), round(found[2], 2))


def alike(new_ms: float, old_ms: float) -> bool:
    """Is the difference not worth a message?"""
    if not old_ms or not new_ms:
        return old_ms == new_ms
    return abs(new_ms - old_ms) < _LEAST_MS or old_ms / _FIFTH < new_ms < old_ms * _FIFTH


def _count(count: int, told: ResponseReport | None) -> int:
    if told is not None and told.count <= count and 10 * count < 11 * told.count:
        return told.count
    return count
