"""The servers of a status, with their heartbeats and partition resolvers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from agent.clpconf import model
from agent.wire.peer import Table
from agent.wire.report import PathReport, Report
from agent.wire.status.seen import Seen
from agent.wire.status.silences import gaps_entry, health_entry

HEARTBEAT_COMMENTS = {
    "lanhb": "LAN Heartbeat",
    "lankhb": "Kernel Mode LAN Heartbeat",
    "diskhb": "DISK Heartbeat",
    "comhb": "COM Heartbeat",
    "bmchb": "BMC Heartbeat",
    "witnesshb": "Witness Heartbeat",
    "pingnp": "ping resolution",
    "httpnp": "http resolution",
    "disknp": "disk resolution",
    "majonp": "majority resolution",
}


RUNNING = ("Online", "Online Pending", "Offline Pending", "Suspend")


def server_entry(
    cluster: model.Cluster, server: model.Server, seen: Seen, reference: Report | None, table: Table | None = None
) -> dict[str, Any]:
    report = seen.report
    return {
        "name": server.name,
        "status": seen.status,
        "comment": server.comment,
        "priority": server.priority,
        "source": seen.source,
        "age_s": round(seen.age_s, 3),
        "incarnation": report.incarnation if report else 0,
        "epoch": str(report.epoch) if report else "",
        "coordinator": report.coordinator if report else "",
        "detail": f"{_server_detail(seen, reference)} {_quarantine(server.name, table)}".strip(),
        "quarantine": _quarantine_entry(server.name, table),
        "drill": _drill_entry(report),
        "watchdog": {
            "status": report.watchdog if report and seen.live else "unknown",
            "detail": report.watchdog_detail if report and seen.live else "",
        },
        "heartbeats": _heartbeats(cluster, server, seen),
        "hears": {
            peer: gaps_entry(gaps, cluster.timeout_s)
            for peer, gaps in (report.hears.items() if report is not None and seen.live else ())
        },
        "health": health_entry(report if seen.live else None, cluster.timeout_s),
    }


def _server_detail(seen: Seen, reference: Report | None) -> str:
    report = seen.report
    if report is None or reference is None or not seen.live or seen.status not in ("Online", "Suspend"):
        return seen.detail
    if report.server in reference.members or report.epoch == reference.epoch:
        return seen.detail
    apart = f"It is not in the view of {reference.server}: they do not hear each other."
    return f"{seen.detail} {apart}".strip()


def _quarantine(server: str, table: Table | None) -> str:
    found = table.quarantine.get(server) if table is not None else None
    if found is None:
        return ""
    until = datetime.fromtimestamp(found.until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"In quarantine until {until}: lost {found.times} times within {found.window_s:g} s. "
        "It takes no groups by itself; you can move them here."
    )


def _quarantine_entry(server: str, table: Table | None) -> dict[str, Any] | None:
    found = table.quarantine.get(server) if table is not None else None
    if found is None:
        return None
    return {"until": found.until, "times": found.times, "window_s": found.window_s, "cause": found.cause}


def _drill_entry(report: Report | None) -> dict[str, Any] | None:
    """A failure on purpose that runs there; also what a server said last that has fallen silent for it."""
    drill = report.drill if report is not None else None
    if drill is None:
        return None
    return {"id": drill.id, "kind": drill.kind, "what": drill.what, "began": drill.began, "ends": drill.ends,
            "by": drill.by}  # fmt: skip


def _heartbeats(cluster: model.Cluster, server: model.Server, seen: Seen) -> dict[str, dict[str, Any]]:
    devices = {device.id for device in server.devices}
    peers = [name for name in cluster.server_names if name != server.name]
    result: dict[str, dict[str, Any]] = {}
    for heartbeat in cluster.heartbeats:
        paths = _paths(seen.report, peers, heartbeat.name) if seen.live else {}
        used = not devices or heartbeat.device in devices
        result[heartbeat.name] = {
            "type": heartbeat.type,
            "comment": HEARTBEAT_COMMENTS.get(heartbeat.type, ""),
            "status": _heartbeat_status(seen, used, bool(peers), [p.state for p in paths.values()]),
            "peers": {peer: _path(path, cluster.timeout_s) for peer, path in paths.items()},
        }
    for resolver in cluster.resolvers:
        result[resolver.name] = {
            "type": resolver.type,
            "comment": HEARTBEAT_COMMENTS.get(resolver.type, ""),
            "status": _resolver_status(cluster, resolver, seen),
            "peers": {},
            **_resolving(seen, resolver.name),
        }
    return result


def _path(path: PathReport, timeout_s: float) -> dict[str, Any]:
    # A path that is silent now has been so for longer than any gap.
    worst_ms = path.gaps.worst_ms if path.gaps is not None and path.state == "Normal" else path.worst_gap_ms
    return {"status": path.state, "worst_gap_ms": round(worst_ms, 1), "gaps": gaps_entry(path.gaps, timeout_s)}


def _paths(report: Report | None, peers: Iterable[str], heartbeat: str) -> dict[str, PathReport]:
    found = {} if report is None else report.paths
    return {peer: path for peer in peers if (path := found.get(peer, {}).get(heartbeat)) is not None}


def _heartbeat_status(seen: Seen, used: bool, has_peers: bool, states: Sequence[str]) -> str:
    if not used:
        return "Unused"
    if seen.status not in RUNNING:
        return seen.status if seen.status in ("Offline", "Unknown") else "Unused"
    counted = [state for state in states if state != "Unused"]
    if not counted:
        # A cluster of one server has nobody to hear.
        return "Unused" if has_peers else "Normal"
    bad = counted.count("Error")
    return "Normal" if bad == 0 else "Error" if bad == len(counted) else "Caution"


def _resolving(seen: Seen, resolver: str) -> dict[str, Any]:
    """Since when it is reached or not reached, and why not."""
    found = seen.report.resolving.get(resolver) if seen.report is not None and seen.live else None
    return {"since": found.since if found else 0.0, "detail": found.detail if found else ""}


def _resolver_status(cluster: model.Cluster, resolver: model.PartitionResolver, seen: Seen) -> str:
    if seen.status not in RUNNING or seen.report is None:
        return seen.status
    if resolver.type != "majonp":
        reached = seen.report.resolvers.get(resolver.name)
        return "Unused" if reached is None else "Normal" if reached else "Error"
    heard = len(cluster.servers) - len(set(seen.report.lost) & set(cluster.server_names))
    return "Normal" if heard * 2 > len(cluster.servers) else "Error"
