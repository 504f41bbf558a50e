"""Pictures of availability as numbers for SVG: strips of time, and recovery times over time. Pure."""

from __future__ import annotations

import math
from typing import Any

from webmanager.recoveries import words
from webmanager.recoveries.availability import Board

WIDTH = 1000.0
_LEAST = 2.5  # of WIDTH: an outage of a second in a year is still to be seen
_BANDS = {"up": (1, 12), "unknown": (5, 4), "planned": (1, 12), "unplanned": (1, 12)}  # from above, height


def strip(board: Board) -> list[dict[str, str]]:
    """A path for each state in a box of WIDTH by 14; outages last, so that nothing lies over them."""
    whole = max(board.until - board.since, 1e-9)
    paths: dict[str, list[str]] = {state: [] for state in _BANDS}
    for state, begin, end in board.strip:
        width = WIDTH * (end - begin) / whole
        if state in ("planned", "unplanned"):
            width = max(width, _LEAST)
        left = min(WIDTH * (begin - board.since) / whole, WIDTH - width)
        top, height = _BANDS[state]
        paths[state].append(f"M{left:.5g} {top}h{width:.5g}v{height}h-{width:.5g}z")
    return [{"state": state, "d": "".join(drawn)} for state, drawn in paths.items() if drawn]


def trend(board: Board, objective_s: float | None) -> dict[str, Any]:
    """Each recovery as a point: when, and how long it took, on a logarithmic axis."""
    worst = max([lasted for _at, lasted in board.times] + ([objective_s] if objective_s else []), default=1.0)
    best = min([lasted for _at, lasted in board.times] + ([objective_s] if objective_s else []), default=0.1)
    low = 10.0 ** math.floor(math.log10(max(best, 0.001)))
    high = 10.0 ** math.ceil(math.log10(max(worst, low * 10.0)))
    decades = max(1, round(math.log10(high / low)))

    def y(seconds: float) -> float:
        return 100.0 - 100.0 * math.log10(max(seconds, low) / low) / decades

    whole = max(board.until - board.since, 1e-9)
    return {
        "points": [
            {
                "x": f"{2 + 96 * (at - board.since) / whole:.3f}%",
                "y": f"{y(lasted):.2f}%",
                "late": objective_s is not None and lasted > objective_s,
            }
            for at, lasted in board.times
        ],
        "lines": [
            {
                "y": f"{y(low * 10.0**n):.2f}%",
                "text": words.tick(low * 10.0**n),
                "first": n == 0,
                "last": n == decades,
            }
            for n in range(decades + 1)
        ],
        "objective": f"{y(objective_s):.2f}%" if objective_s else "",
    }
