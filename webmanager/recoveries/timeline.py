"""One recovery as a picture and as a table: lanes of servers, bars on an axis, the path that cost the time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from webmanager.recoveries import words
from webmanager.recoveries.models import Recovery

_TICKS = 6
_EDGE = 1e-6
_SAME_S = 0.0005  # Nobody can read less.


def of(row: Recovery, now: float) -> dict[str, Any]:
    """What the page of a recovery shows."""
    data = row.data
    parts = [dict(part) for part in row.path]
    steps = [dict(step) for step in data.get("steps", ())]
    begun = min([row.begun, *(part["begun"] for part in parts)])
    # What runs is shown up to now, but never beyond what a forgotten step could last.
    ended = row.ended if row.ended is not None else max(begun, now)
    whole = max(ended - begun, 1e-3)
    scale = _Scale(begun, whole)
    return {
        "begun": begun,
        "ended": ended,
        "whole": words.duration(ended - begun),
        "lanes": _lanes(row, data, parts, steps, scale, ended),
        "ticks": scale.ticks(),
        "table": [_table_row(number, part, begun, whole) for number, part in enumerate(parts, 1)],
        "advice": words.advice(parts, data, row.trigger) if row.ended is not None else [],
        "moments": _moments(row, data, begun),
        "trigger": words.trigger(row.trigger, row.subject),
    }


class _Scale:
    """Seconds to percent of the width."""

    def __init__(self, begun: float, whole: float) -> None:
        self._begun, self._whole = begun, whole

    def x(self, at: float) -> float:
        return min(max((at - self._begun) / self._whole, 0.0), 1.0) * 100.0

    def bar(self, begun: float, ended: float) -> dict[str, str]:
        left = self.x(begun)
        return {"x": f"{left:.3f}%", "width": f"{max(self.x(ended) - left, 0.0):.3f}%"}

    def ticks(self) -> list[dict[str, str]]:
        step = _nice(self._whole / _TICKS)
        count = int(self._whole / step + _EDGE)
        found = []
        for n in range(count + 1):
            x = self.x(self._begun + n * step)
            anchor = "start" if n == 0 else "end" if x > 94 else "middle"
            found.append({"x": f"{x:.3f}%", "anchor": anchor, "text": words.tick(n * step)})
        return found


def _nice(value: float) -> float:
    """1, 2 or 5 times a power of ten, not less than `value`."""
    power = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * (1 - _EDGE))


def _lanes(
    row: Recovery, data: Mapping[str, Any], parts: list[dict[str, Any]], steps: list[dict[str, Any]], scale: _Scale,
    ended: float,
) -> list[dict[str, Any]]:  # fmt: skip
    on_path = {(part["kind"], part["name"], part["server"]) for part in parts}
    common = [part for part in parts if part["kind"] in ("notice", "decide")]
    lanes = [{"name": _("Cluster"), "bars": [_bar({**part, "result": ""}, scale, ended, True) for part in common]}]
    by_server: dict[str, list[dict[str, Any]]] = {name: [] for name in (row.source, row.target) if name}
    for step in steps:
        marked = (step["kind"], step["name"], step["server"]) in on_path
        lane = by_server.setdefault(step["server"], [])
        lane.append(_bar(step, scale, ended, marked))
    lanes += [{"name": name, "bars": bars} for name, bars in by_server.items()]
    return [lane for lane in lanes if lane["bars"]]


def _bar(one: Mapping[str, Any], scale: _Scale, ended: float, marked: bool) -> dict[str, Any]:
    until = one["ended"] if one["ended"] is not None else ended
    return {
        "text": words.part(one),
        "kind": one["kind"],
        "lasted": words.duration(until - one["begun"]),
        "look": words.STEP_LOOKS.get(one["result"], ""),
        "result": words.step_result(one["result"]),
        "path": marked,
        **scale.bar(one["begun"], until),
    }


def _table_row(number: int, part: Mapping[str, Any], begun: float, whole: float) -> dict[str, Any]:
    lasted = part["ended"] - part["begun"]
    return {
        "number": number,
        "text": words.part(part),
        "server": part["server"],
        "at": words.duration(part["begun"] - begun),
        "lasted": words.duration(lasted),
        "share": round(100.0 * lasted / whole),
        "look": words.STEP_LOOKS.get(part["result"], ""),
        "result": words.step_result(part["result"]),
    }


def _moments(row: Recovery, data: Mapping[str, Any], begun: float) -> list[dict[str, Any]]:
    """Trigger, verdict, decision, end: each with its time."""
    heard, verdict, decided = (data.get(key) for key in ("heard_at", "verdict_at", "decided_at"))
    subject = row.subject
    served = row.outage_from if heard is None or abs((row.outage_from or 0.0) - heard) > _SAME_S else None
    result = str(words.RESULTS[row.result])
    told: list[tuple[float | None, str]] = [
        (heard, _("%(server)s was heard for the last time; the group surely served until here") % {"server": subject})
        if served is None
        else (heard, _("%(server)s was heard for the last time") % {"server": subject or row.source}),
        (served, _("The group surely served until here")),
        (verdict, words.trigger(row.trigger, subject)),
        (decided, _("Decided: %(kind)s") % {"kind": words.KINDS[row.kind]}),
        (row.ended, f"{result}: {row.target}" if row.target else result),
    ]
    found = [
        {"time": at, "after": words.duration(max(0.0, at - begun)), "text": text} for at, text in told if at is not None
    ]
    return sorted(found, key=lambda one: one["time"])
