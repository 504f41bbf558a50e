"""What a measurement is compared with, and the tables that say so."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Goal:
    """`measured` shall not be above `reference` times `factor`; None was not measured."""

    name: str
    measured: float | None
    reference: float | None
    against: str  # what the reference is
    factor: float = 1.0
    unit: str = ""

    @property
    def verdict(self) -> str:
        if self.measured is None or self.reference is None:
            return "skipped"
        return "ok" if self.measured <= self.reference * self.factor else "MISSED"

    @property
    def ratio(self) -> str:
        if self.measured is None or not self.reference:
            return "-"
        return f"{self.measured / self.reference:.2f}"


@dataclass(slots=True)
class Outcome:
    """What a bench found: a table of measurements, its goals, and sentences about both."""

    title: str
    head: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def missed(self) -> list[Goal]:
        return [goal for goal in self.goals if goal.verdict == "MISSED"]

    def text(self) -> str:
        parts = [f"== {self.title}", table(self.head, self.rows)]
        if self.goals:
            parts.append(table(GOALS, [_row(goal) for goal in self.goals]))
        return "\n\n".join(parts) + "\n" + "".join(f"Note: {note}\n" for note in self.notes)


GOALS = ("goal", "measured", "against", "", "ratio", "limit", "verdict")


def _row(goal: Goal) -> list[str]:
    reference = "-" if goal.reference is None else figure(goal.reference, goal.unit)
    limit = f"<= {goal.factor:.2f}" if goal.reference else "<= 0"
    return [goal.name, figure(goal.measured, goal.unit), reference, goal.against, goal.ratio, limit, goal.verdict]


def figure(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    digits = {"s": 3, "MB": 1, "ms": 1, "%": 2}.get(unit, 0)
    return f"{value:.{digits}f}{' ' if unit else ''}{unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; figures to the right, words to the left."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    right = [n > 0 and bool(rows) and all(_is_figure(row[n]) for row in rows) for n in range(len(head))]
    out = []
    for line in lines:
        cells = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def _is_figure(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell == "-"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
