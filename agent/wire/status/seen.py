"""Which servers are known, how well, and whose view counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.clpconf import model
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import Table
from agent.wire.report import Report

Status = dict[str, Any]


#: (report, seconds since it was last known to be right, server through which it came to us).
Source = tuple[Report, float, str]


@dataclass(slots=True)
class Seen:
    """One server as far as we know it."""

    report: Report | None
    age_s: float
    source: str
    status: str
    live: bool
    detail: str


def reference_of(cluster: model.Cluster, reports: Mapping[str, Source], stale_after_s: float) -> Report | None:
    names = set(cluster.server_names)
    running = [
        report
        for name, (report, age_s, _) in reports.items()
        if name in names and age_s <= stale_after_s and report.service != "stopped" and report.epoch != NO_EPOCH
    ]
    # At equal epochs the coordinator knows best who is lost.
    return max(running, key=lambda r: (r.epoch, r.coordinator == r.server, r.incarnation), default=None)


def see(name: str, source: Source | None, reference: Report | None, stale_after_s: float, table: Table | None) -> Seen:
    lost = reference is not None and name in reference.lost and name not in reference.members
    if source is None:
        status, detail = ("Offline", "Lost: no heartbeat.") if lost else ("Unknown", "This server has not reported.")
        return Seen(None, 0.0, "", status, False, detail)
    report, age_s, via = source
    fresh = age_s <= stale_after_s
    if lost and not (fresh and via == name):
        return Seen(report, age_s, via, "Offline", False, "Lost: no heartbeat.")
    if not fresh:
        return Seen(report, age_s, via, "Unknown", False, "No news of this server; its state is the last known one.")
    status = _service(report, table)
    return Seen(report, age_s, via, status, True, report.detail)


def live_reports(seen: Mapping[str, Seen]) -> list[tuple[str, Report]]:
    """Of the servers that speak, in the order of their priority."""
    return [(server, one.report) for server, one in seen.items() if one.live and one.report is not None]


def _service(report: Report, table: Table | None) -> str:
    if report.service == "stopped":
        return "Offline"
    if report.service == "leaving":
        return "Offline Pending"
    if report.epoch == NO_EPOCH or report.server not in report.members:
        return "Online Pending"
    return "Suspend" if report.suspended or (table is not None and table.suspended) else "Online"
