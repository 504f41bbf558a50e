"""The group resources of a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import HOLDING, ResourceReport
from agent.wire.status.seen import Seen, live_reports

_OFFLINE = {"status": "Offline", "detail": ""}
_ONLINE = {"status": "Online", "detail": ""}
_UNKNOWN = {"status": "Unknown", "detail": ""}


def resources_part(
    resources: Iterable[tuple[model.Resource, model.Group | None]],
    seen: Mapping[str, Seen],
    groups: Mapping[str, dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Of resources with the group that each belongs to; `groups` are the status of all groups."""
    speaking = [(server, report.resources) for server, report in live_reports(seen)]
    silent = [server for server, one in seen.items() if not one.live]
    result = {}
    for resource, group in resources:
        name = resource.name
        live = {
            server: report
            for server, found in speaking
            if (report := found.get(name)) is not None and (report.state != "Offline" or report.detail)
        }
        result[name] = _resource(resource, group, groups[group.name] if group else None, live, silent)
    return result


def in_groups(cluster: model.Cluster) -> list[tuple[model.Resource, model.Group | None]]:
    """All resources, with the group of each."""
    group_of = {resource: group for group in cluster.groups for resource in group.resources}
    return [(resource, group_of.get(resource.name)) for resource in cluster.resources]


def _resource(
    resource: model.Resource,
    group: model.Group | None,
    group_status: Mapping[str, Any] | None,
    live: Mapping[str, ResourceReport],
    silent: Iterable[str],
) -> dict[str, Any]:
    policy = group.policy if group else ()
    servers: dict[str, dict[str, Any]] = dict.fromkeys(policy, _OFFLINE)
    servers.update({server: _UNKNOWN for server in silent if server in servers})
    for server, report in live.items():
        healthy = report.state == "Online" and not report.detail
        servers[server] = _ONLINE if healthy else {"status": report.state, "detail": report.detail}
    current = str(group_status["current"]) if group_status else ""
    status, detail = _resource_status(live, current, group_status)
    return {
        "name": resource.name,
        "type": resource.type,
        "status": status,
        "current": current if status != "Unknown" else "",
        "group": group.name if group else "",
        "comment": resource.comment,
        "address": resource.values.get("parameters/ip", ""),
        "detail": detail,
        "servers": servers,
    }


def _resource_status(
    live: Mapping[str, ResourceReport], current: str, group_status: Mapping[str, Any] | None
) -> tuple[str, str]:
    if group_status is not None and group_status["status"] == "Unknown":
        return "Unknown", ""
    holding = [server for server, report in live.items() if report.state in HOLDING]
    if len(holding) > 1:
        return "Online Failure", f"Active on {' and '.join(holding)} at the same time."
    if holding:
        return live[holding[0]].state, live[holding[0]].detail
    if current in live:
        return live[current].state, live[current].detail
    return "Offline", next((report.detail for report in live.values() if report.detail), "")
