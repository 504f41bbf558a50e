"""Which configuration each server runs, and the change of it that is under way or was the newest.

Rules of this file
- While the coordinator drives a change, its table says how far that is. A server that begins anew with the new file has
  no table yet: then what the servers remember of the change (Report.switch) tells.
- `phase` "" means that nothing is under way; `state` and `reason` then say how the newest change ended.
- `ends` is when the time to confirm is over, by the clock of the server `ends_on`. It stands still, so that equal
  situations give equal objects; `timed` makes `left_s` of it for who knows that clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.status.seen import Seen, Status
from agent.wire.switch import Applying, Switch

UNDER_WAY = ("stopping", "freezing", "switching", "trying", "confirming")


def configuration_part(seen: Mapping[str, Seen], table: Table | None, coordinator: str) -> dict[str, Any]:
    applying = table.applying if table is not None else None
    switch = applying.switch if applying is not None else _newest(seen)
    ends_on, ends = _end(applying, coordinator)
    return {
        "id": switch.id if switch else "",
        "phase": applying.phase if applying is not None else _phase(seen, switch),
        "back": applying.back if applying is not None else False,
        "health": applying.health if applying is not None else False,
        "state": switch.state if switch else "",
        "by": switch.by if switch else "",
        "why": switch.why if switch else "",
        "to": switch.to if switch else "",
        "origin": switch.origin if switch else "",
        "groups": list(switch.groups) if switch else [],
        "members": list(switch.members) if switch else [],
        "reason": _reason(seen, switch),
        "confirm_s": switch.confirm_s if switch else 0.0,
        "ends_on": ends_on,
        "ends": ends,
        "left_s": None,
        "servers": {name: _server(one.report, switch) for name, one in seen.items()},
    }


def timed(status: Status, clocks: Mapping[str, float]) -> Status:
    """With the seconds that are left to confirm, as of now. `clocks`: server -> its steady clock now."""
    part = status["cluster"]["configuration"]
    if part["ends"] is None or part["ends_on"] not in clocks:
        return status
    left_s = round(max(0.0, part["ends"] - clocks[part["ends_on"]]), 1)
    return {**status, "cluster": {**status["cluster"], "configuration": {**part, "left_s": left_s}}}


def _newest(seen: Mapping[str, Seen]) -> Switch | None:
    """What a server tries now counts before what most of them remember."""
    known = [one.report.switch for one in seen.values() if one.report is not None and one.report.switch is not None]
    trying = [switch for switch in known if switch.state == "trying"]
    counts = Counter(switch.id for switch in trying or known)
    return max(trying or known, key=lambda switch: counts[switch.id], default=None)


def _phase(seen: Mapping[str, Seen], switch: Switch | None) -> str:
    if switch is None or switch.state != "trying":
        return ""
    told = [seen[name].report for name in switch.members if name in seen]
    met = all(report is not None and report.config == switch.to and not report.frozen for report in told)
    return "trying" if met else "switching"


def _end(applying: Applying | None, coordinator: str) -> tuple[str, float | None]:
    """(server, its clock) when the time to confirm is over; None: there is no such time, or not yet."""
    if applying is None or applying.back or applying.phase != "trying" or not applying.switch.confirm_s:
        return "", None
    return (coordinator, applying.until) if coordinator and applying.until else ("", None)


def _reason(seen: Mapping[str, Seen], switch: Switch | None) -> str:
    if switch is None:
        return ""
    told = (one.report.switch for one in seen.values() if one.report is not None)
    reasons = (one.reason for one in told if one is not None and one.id == switch.id and one.reason)
    return switch.reason or next(reasons, "")


def _server(report: Report | None, switch: Switch | None) -> dict[str, Any]:
    if report is None:
        return {"config": "", "stored": "", "state": "", "frozen": False, "reason": ""}
    own = report.switch if switch is not None and report.switch is not None and report.switch.id == switch.id else None
    return {
        "config": report.config,
        "stored": report.stored,
        "state": own.state if own else "",
        "frozen": report.frozen,
        "reason": own.reason if own else "",
    }
