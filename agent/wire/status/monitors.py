"""The monitor resources of a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import MonitorReport, Report
from agent.wire.status.responses import responses_entry, together
from agent.wire.status.seen import Seen

_SILENT = Report(server="", incarnation=0, seq=0)


def monitors_part(
    monitors: Iterable[model.Monitor], seen: Mapping[str, Seen], delay_warning: int
) -> dict[str, dict[str, Any]]:
    """`delay_warning`: of the cluster."""
    sources = [
        (server, one.report if one.live and one.report else _SILENT, _monitor_blank(one))
        for server, one in seen.items()
    ]
    result = {}
    for monitor in monitors:
        chosen = [source for source in sources if source[0] in monitor.servers] if monitor.servers else sources
        name = monitor.name
        # One entry a monitor and server is by far the most of a status: those that say nothing are shared.
        servers = {
            server: blank
            if (r := there.monitors.get(name)) is None or _silent(r, name in there.responses)
            else _monitor(r, responses_entry(there.responses.get(name), monitor, delay_warning))
            for server, there, blank in chosen
        }
        proposed_ms, rule = together(entry["responses"] for entry in servers.values())
        result[name] = {
            "name": name,
            "type": monitor.type,
            "status": _aggregate({entry["status"] for entry in servers.values()}),
            "comment": monitor.comment,
            "target": monitor.target,
            "timeout_ms": round(monitor.timeout_s * 1000),
            "proposed_ms": proposed_ms,
            "rule": rule,
            "servers": servers,
        }
    return result


def _silent(report: MonitorReport, measured: bool) -> bool:
    """Where it ran before, what was measured stays worth knowing."""
    return report.state == "Offline" and not report.detail and not measured


def _monitor(report: MonitorReport, responses: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "status": report.state,
        "detail": report.detail,
        "elapsed_ms": report.elapsed_ms,
        "restarts": report.restarts,
        "failovers": report.failovers,
        "since": report.since,
        "responses": responses,
    }


_OFFLINE, _UNKNOWN = _monitor(MonitorReport(state="Offline")), _monitor(MonitorReport(state="Unknown"))


def _monitor_blank(seen: Seen) -> dict[str, Any]:
    return _OFFLINE if seen.live or seen.status == "Offline" else _UNKNOWN


def _aggregate(states: set[str]) -> str:
    """Servers where the monitor does not run say nothing about the watched thing."""
    telling = states & {"Normal", "Caution", "Error", "Suspend"}
    if len(telling) == 1:
        return next(iter(telling))
    if telling:
        return "Caution"
    return next(iter(states)) if len(states) == 1 else "Offline"
