"""The geometry of a chart of lengths over time, for the template that draws it as SVG. Pure.

The lengths stand on a logarithmic scale: what matters is how many times an answer could take longer before it reaches
the threshold, and a linear scale would show a flat line at its foot. Where nobody looked the line is interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone

from webmanager.measures.samples import DAY_S, SPANS, Point, merged
from webmanager.measures.words import length

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 10, 24
_TABLE_ROWS = 48


@dataclass
class Threshold:
    label: str
    ms: float
    look: str
    y: float = 0.0


@dataclass
class Chart:
    name: str
    band: list[str] = field(default_factory=list)  # paths: from the shortest to the longest
    line: list[str] = field(default_factory=list)  # paths: the middle one
    failed: list[dict[str, Any]] = field(default_factory=list)
    thresholds: list[Threshold] = field(default_factory=list)
    rows: list[dict[str, float | str]] = field(default_factory=list)  # horizontal rules with their labels
    columns: list[dict[str, float | str]] = field(default_factory=list)
    table: list[dict[str, Any]] = field(default_factory=list)
    longest: float | None = None
    gaps: int = 0  # interruptions between the points
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(name: str, points: Sequence[Point], thresholds: Iterable[Threshold], span: str, now: float) -> Chart:
    """`points` oldest first."""
    limits = list(thresholds)
    made = Chart(name=name, thresholds=limits)
    lengths = [value for point in points for value in point.sample[:3] if value]
    low, high = _scale([*lengths, *(one.ms for one in limits)])
    x, y = _across(span, now), _up(low, high)
    for limit in limits:
        limit.y = y(limit.ms)
    made.longest = max((point.sample[2] for point in points if point.sample[2]), default=None)
    made.rows = [{"y": y(ms), "label": length(ms)} for ms in _decades(low, high)]
    made.columns = [{"x": x(at), "label": label} for at, label in _times(span, now)]
    for run in _runs(points):
        made.band.append(_area(run, x, y))
        made.line.append("M" + "L".join(f"{x(p.at + p.span_s / 2):.1f} {y(p.sample[1] or low):.1f}" for p in run))
    made.gaps = max(0, len(made.line) - 1)
    made.failed = [{"x": x(p.at + p.span_s / 2), "count": p.sample[3], "at": p.at} for p in points if p.sample[3]]
    made.table = _table(points)
    return made


def _scale(lengths: Sequence[float]) -> tuple[float, float]:
    """Whole decades around all of it."""
    least, most = min(lengths, default=1.0), max(lengths, default=100.0)
    low = 10.0 ** math.floor(math.log10(max(least, 0.1)))
    high = 10.0 ** math.ceil(math.log10(max(most, low * 10)) - 1e-9)
    # A threshold at the very edge is no line to look at.
    return low, high if most < 0.9 * high else high * 2


def _decades(low: float, high: float) -> list[float]:
    first, last = round(math.log10(low)), math.floor(math.log10(high))
    step = 1 if last - first <= 5 else 2
    within = (1.0, 2.0, 5.0) if last - first <= 2 else (1.0,)
    marks = [part * 10.0**power for power in range(first, last + 1, step) for part in within]
    return [mark for mark in marks if mark <= high]


def _up(low: float, high: float) -> Any:
    share = (HEIGHT - TOP - BOTTOM) / math.log10(high / low)
    return lambda ms: round(HEIGHT - BOTTOM - share * math.log10(min(max(ms, low), high) / low), 1)


def _across(span: str, now: float) -> Any:
    length = SPANS[span]
    return lambda at: round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, (at - now + length) / length)), 1)


def _times(span: str, now: float) -> list[tuple[float, str]]:
    """Where a label stands below the chart, in the manager's time zone."""
    here = _local(now)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    if span == "day":
        marks = [midnight + hour * 3600 for hour in range(-24, 25, 4)]
        form = "%H:%M"
    else:
        marks = [midnight - days * DAY_S for days in range(0, 31, 5)]
        form = "%m-%d"
    first = now - SPANS[span]
    shown = sorted(at for at in marks if first + SPANS[span] * 0.03 < at < now - SPANS[span] * 0.03)
    return [(at, _local(at).strftime(form)) for at in shown]


def _local(at: float) -> datetime:
    return timezone.localtime(datetime.fromtimestamp(at, UTC))


def _runs(points: Iterable[Point]) -> list[list[Point]]:
    """Points without an interruption between them; those without lengths interrupt as well."""
    runs: list[list[Point]] = []
    last: Point | None = None
    for point in points:
        if point.sample[1] is None:
            last = None
            continue
        if last is None or point.at > last.at + 2.5 * last.span_s:
            runs.append([])
        runs[-1].append(point)
        last = point
    return runs


def _area(run: Sequence[Point], x: Any, y: Any) -> str:
    """Each point is as wide as its span, so that a single one is seen."""
    over = [f"{x(p.at)} {y(p.sample[2])}H{x(p.at + p.span_s)}" for p in run]
    under = [f"{x(p.at + p.span_s)} {y(p.sample[0])}H{x(p.at)}" for p in reversed(run)]
    return "M" + "L".join([*over, *under]) + "Z"


def _table(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Newest first, by spans that give few enough rows to read."""
    if not points:
        return []
    covered = points[-1].at + points[-1].span_s - points[0].at
    step = next((one for one in (60, 300, 900, 3600, 4 * 3600) if covered / one <= _TABLE_ROWS), DAY_S)
    by_time: dict[int, list[Point]] = {}
    for point in points:
        by_time.setdefault(point.at - point.at % step, []).append(point)
    found = []
    for at, some in sorted(by_time.items(), reverse=True):
        low, mid, high, failed = merged((point.sample for point in some), add=True)
        found.append({"at": at, "low": length(low), "mid": length(mid), "high": length(high), "failed": failed})
    return found
