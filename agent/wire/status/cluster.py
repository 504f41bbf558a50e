"""The cluster as a whole: its view, its worst news, and who disagrees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.peer import Table
from agent.wire.report import Report
from agent.wire.split_brain import split_brain
from agent.wire.status.configuration import configuration_part
from agent.wire.status.fences import fencing_entry
from agent.wire.status.partition import partition_part
from agent.wire.status.seen import Seen

_ABNORMAL = ("Caution", "Error")


def cluster_part(
    cluster: model.Cluster,
    seen: Mapping[str, Seen],
    reference: Report | None,
    table: Table | None,
    servers: Mapping[str, dict[str, Any]],
    groups: Mapping[str, dict[str, Any]],
    monitors: Mapping[str, dict[str, Any]],
    silence: dict[str, Any] | None,
) -> dict[str, Any]:
    suspended = bool((table and table.suspended) or (reference and reference.suspended))
    return {
        "name": cluster.name,
        "comment": cluster.comment,
        "status": _cluster_status(seen, suspended, servers, groups, monitors),
        "epoch": str(reference.epoch) if reference else "",
        "coordinator": reference.coordinator if reference else "",
        "members": list(reference.members) if reference else [],
        "suspended": suspended,
        "detail": _disagreement(seen),
        "split_brain": split_brain(cluster),
        "partition": partition_part(cluster, seen, reference),
        "fencing": fencing_entry(cluster, armed=table is None or not table.disarmed),
        "silence": silence,
        "configuration": configuration_part(seen, table, reference.coordinator if reference else ""),
    }


def _cluster_status(
    seen: Mapping[str, Seen],
    suspended: bool,
    servers: Mapping[str, dict[str, Any]],
    groups: Mapping[str, dict[str, Any]],
    monitors: Mapping[str, dict[str, Any]],
) -> str:
    if not any(one.live for one in seen.values()):
        return "Unknown"
    if all(server["status"] == "Offline" for server in servers.values()):
        return "Offline"
    group_words = {group["status"] for group in groups.values()}
    monitor_words = {monitor["status"] for monitor in monitors.values()}
    if group_words & {"Online Failure", "Offline Failure", "Unknown"} or "Error" in monitor_words:
        return "Error"
    if suspended:
        return "Suspend"
    troubled = any(server["status"] != "Online" for server in servers.values())
    missing = any(g["status"] == "Offline" and g["autostart"] and not g["held"] for g in groups.values())
    pending = bool(group_words & {"Online Pending", "Offline Pending"})
    if troubled or missing or pending or "Caution" in monitor_words or _bad_heartbeat(servers.values()):
        return "Caution"
    return "Normal"


def _bad_heartbeat(servers: Iterable[Mapping[str, Any]]) -> bool:
    return any(hb["status"] in _ABNORMAL for server in servers for hb in server["heartbeats"].values())


def _disagreement(seen: Mapping[str, Seen]) -> str:
    views: dict[str, list[str]] = {}
    for server, one in seen.items():
        if one.live and one.report is not None and one.status in ("Online", "Suspend"):
            views.setdefault(f"{one.report.coordinator or 'none'} (view {one.report.epoch})", []).append(server)
    if len(views) < 2:
        return ""
    sides = "; ".join(f"{', '.join(names)}: coordinator {view}" for view, names in views.items())
    return f"The servers do not follow the same view. {sides}."
