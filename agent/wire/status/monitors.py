"""The monitor resources of a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import MonitorReport
from agent.wire.status.seen import Seen


def monitors_part(monitors: Iterable[model.Monitor], seen: Mapping[str, Seen]) -> dict[str, dict[str, Any]]:
    sources = [
        (server, one.report.monitors if one.live and one.report else {}, _monitor_blank(one))
        for server, one in seen.items()
    ]
    result = {}
    for monitor in monitors:
        chosen = [source for source in sources if source[0] in monitor.servers] if monitor.servers else sources
        name = monitor.name
        # One entry a monitor and server is by far the most of a status: those that say nothing are shared.
        servers = {
            server: blank
            if (r := reports.get(name)) is None or (r.state == "Offline" and not r.detail)
            else _monitor(r)
            for server, reports, blank in chosen
        }
        result[name] = {
            "name": name,
            "type": monitor.type,
            "status": _aggregate({entry["status"] for entry in servers.values()}),
            "comment": monitor.comment,
            "target": monitor.target,
            "servers": servers,
        }
    return result


def _monitor(report: MonitorReport) -> dict[str, Any]:
    return {
        "status": report.state,
        "detail": report.detail,
        "elapsed_ms": report.elapsed_ms,
        "restarts": report.restarts,
        "failovers": report.failovers,
        "since": report.since,
    }


def _monitor_blank(seen: Seen) -> dict[str, Any]:
    return _monitor(MonitorReport(state="Offline" if seen.live or seen.status == "Offline" else "Unknown"))


def _aggregate(states: set[str]) -> str:
    """Servers where the monitor does not run say nothing about the watched thing."""
    telling = states & {"Normal", "Caution", "Error", "Suspend"}
    if len(telling) == 1:
        return next(iter(telling))
    if telling:
        return "Caution"
    return next(iter(states)) if len(states) == 1 else "Offline"
