"""Which events are worth a mark on the time line, and of which kind."""

from __future__ import annotations

FAILOVER, DOWN, UP, REQUEST, MOVE, CHANGE, DRILL, ERROR = (
    "failover", "down", "up", "request", "move", "change", "drill", "error",
)  # fmt: skip
# Worst first: where several stand in one place, the first of them is shown.
KINDS = (FAILOVER, DOWN, ERROR, DRILL, REQUEST, MOVE, CHANGE, UP)
CODES = {
    FAILOVER: ("rc:60",),
    DOWN: ("nm:2", "nm:30", "cp:5", "cp:18", "cp:23", "cp:24", "pm:2"),
    UP: ("nm:1", "nm:36"),
    REQUEST: ("apisv:1",),
    MOVE: ("rc:50", "rc:70", "rc:74"),
    DRILL: ("apisv:61", "apisv:64"),
    CHANGE: ("cp:72", "cp:80", "cp:81", "cp:82"),
}
_MARKS = {code: kind for kind, codes in CODES.items() for code in codes}


def mark_of(code: str, severity: str) -> str:
    """ "" for most events: what is only a step or a remark."""
    return _MARKS.get(code) or (ERROR if severity == "error" else "")
