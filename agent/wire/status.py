"""What everybody shows: one plain JSON object made from the configuration and the servers' own reports.

Rules of this file
- A report is the only truth about its server. It is `live` when it is fresh and its server is not known to be lost.
- The reference view is the one with the highest epoch among the live reports; it says who is a member and who is lost.
- A lost server is Offline, a silent one Unknown. What such a server ran is `last known`, shown in `detail` and never
  counted as active, unless nobody can have taken it over since: then the group is Unknown, not Offline.
- A server that speaks for itself (`source` is its own name) beats others that call it lost: at a network partition
  the manager hears both sides, and both are Online.
- No number that changes with every second stands in a text, so that equal situations give equal objects; ages are in
  `age_s` alone.
A status is read only: entries that say the same may be one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.clpconf import model
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import GroupRecord, Table
from agent.wire.report import HOLDING, GroupReport, MonitorReport, PathReport, Report, ResourceReport
from agent.wire.split_brain import split_brain

Status = dict[str, Any]
Change = list[Any]  # [kind, name, object or None]; kind is a key of Status, name is "" for "cluster".
#: (report, seconds since it was last known to be right, server through which it came to us).
Source = tuple[Report, float, str]

KINDS = ("servers", "groups", "resources", "monitors")
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
_RUNNING = ("Online", "Online Pending", "Offline Pending", "Suspend")
_ABNORMAL = ("Caution", "Error")


def build_status(
    cluster: model.Cluster, reports: Mapping[str, Source], table: Table | None, stale_after_s: float
) -> Status:
    """`reports` by server name; names that the configuration does not know are ignored."""
    reference = _reference(cluster, reports, stale_after_s)
    seen = {s.name: _see(s.name, reports.get(s.name), reference, stale_after_s, table) for s in cluster.servers}
    servers = {s.name: _server(cluster, s, seen[s.name], reference) for s in cluster.servers}
    groups = _groups(cluster, seen, table)
    monitors = _monitors(cluster, seen)
    return {
        "cluster": _cluster(cluster, seen, reference, table, servers, groups, monitors),
        "servers": servers,
        "groups": groups,
        "resources": _resources(cluster, seen, groups),
        "monitors": monitors,
    }


def diff(old: Status, new: Status, *, ages: bool = True) -> list[Change]:
    """What to send so that `apply(old, diff(old, new)) == new`; `ages=False` leaves out servers that only aged."""
    changes: list[Change] = []
    if old.get("cluster") != new["cluster"]:
        changes.append(["cluster", "", new["cluster"]])
    for kind in KINDS:
        before, after = old.get(kind, {}), new[kind]
        changes += [[kind, name, None] for name in before if name not in after]
        changes += [[kind, name, thing] for name, thing in after.items() if not _same(before.get(name), thing, ages)]
    return changes


def apply(status: Status, changes: Iterable[Sequence[Any]]) -> Status:
    """A new status; whole objects are replaced, so that repeating a change does no harm."""
    result: Status = {kind: dict(status.get(kind, {})) for kind in KINDS}
    result["cluster"] = status.get("cluster", {})
    for kind, name, thing in changes:
        if kind == "cluster":
            result["cluster"] = thing
        elif kind not in KINDS:
            raise ValueError(f"A status has no objects of kind {kind!r}; it has {', '.join(('cluster', *KINDS))}.")
        elif thing is None:
            result[kind].pop(name, None)
        else:
            result[kind][name] = thing
    return result


@dataclass(slots=True)
class _Seen:
    """One server as far as we know it."""

    report: Report | None
    age_s: float
    source: str
    status: str
    live: bool
    detail: str


def _reference(cluster: model.Cluster, reports: Mapping[str, Source], stale_after_s: float) -> Report | None:
    names = set(cluster.server_names)
    running = [
        report
        for name, (report, age_s, _) in reports.items()
        if name in names and age_s <= stale_after_s and report.service != "stopped" and report.epoch != NO_EPOCH
    ]
    # At equal epochs the coordinator knows best who is lost.
    return max(running, key=lambda r: (r.epoch, r.coordinator == r.server, r.incarnation), default=None)


def _see(
    name: str, source: Source | None, reference: Report | None, stale_after_s: float, table: Table | None
) -> _Seen:
    lost = reference is not None and name in reference.lost and name not in reference.members
    if source is None:
        status, detail = ("Offline", "Lost: no heartbeat.") if lost else ("Unknown", "This server has not reported.")
        return _Seen(None, 0.0, "", status, False, detail)
    report, age_s, via = source
    fresh = age_s <= stale_after_s
    if lost and not (fresh and via == name):
        return _Seen(report, age_s, via, "Offline", False, "Lost: no heartbeat.")
    if not fresh:
        return _Seen(report, age_s, via, "Unknown", False, "No news of this server; its state is the last known one.")
    status = _service(report, table)
    return _Seen(report, age_s, via, status, True, report.detail)


def _service(report: Report, table: Table | None) -> str:
    if report.service == "stopped":
        return "Offline"
    if report.service == "leaving":
        return "Offline Pending"
    if report.epoch == NO_EPOCH or report.server not in report.members:
        return "Online Pending"
    return "Suspend" if report.suspended or (table is not None and table.suspended) else "Online"


def _server(cluster: model.Cluster, server: model.Server, seen: _Seen, reference: Report | None) -> dict[str, Any]:
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
        "detail": _server_detail(seen, reference),
        "heartbeats": _heartbeats(cluster, server, seen),
    }


def _server_detail(seen: _Seen, reference: Report | None) -> str:
    report = seen.report
    if report is None or reference is None or not seen.live or seen.status not in ("Online", "Suspend"):
        return seen.detail
    if report.server in reference.members or report.epoch == reference.epoch:
        return seen.detail
    apart = f"It is not in the view of {reference.server}: they do not hear each other."
    return f"{seen.detail} {apart}".strip()


def _heartbeats(cluster: model.Cluster, server: model.Server, seen: _Seen) -> dict[str, dict[str, Any]]:
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
            "peers": {
                peer: {"status": path.state, "worst_gap_ms": round(path.worst_gap_ms, 1)}
                for peer, path in paths.items()
            },
        }
    for resolver in cluster.resolvers:
        result[resolver.name] = {
            "type": resolver.type,
            "comment": HEARTBEAT_COMMENTS.get(resolver.type, ""),
            "status": _resolver_status(cluster, resolver, seen),
            "peers": {},
        }
    return result


def _paths(report: Report | None, peers: Iterable[str], heartbeat: str) -> dict[str, PathReport]:
    found = {} if report is None else report.paths
    return {peer: path for peer in peers if (path := found.get(peer, {}).get(heartbeat)) is not None}


def _heartbeat_status(seen: _Seen, used: bool, has_peers: bool, states: Sequence[str]) -> str:
    if not used:
        return "Unused"
    if seen.status not in _RUNNING:
        return seen.status if seen.status in ("Offline", "Unknown") else "Unused"
    counted = [state for state in states if state != "Unused"]
    if not counted:
        # A cluster of one server has nobody to hear.
        return "Unused" if has_peers else "Normal"
    bad = counted.count("Error")
    return "Normal" if bad == 0 else "Error" if bad == len(counted) else "Caution"


def _resolver_status(cluster: model.Cluster, resolver: model.PartitionResolver, seen: _Seen) -> str:
    if seen.status not in _RUNNING or seen.report is None:
        return seen.status
    if resolver.type != "majonp":
        return "Unused"
    heard = len(cluster.servers) - len(set(seen.report.lost) & set(cluster.server_names))
    return "Normal" if heard * 2 > len(cluster.servers) else "Error"


def _groups(cluster: model.Cluster, seen: Mapping[str, _Seen], table: Table | None) -> dict[str, dict[str, Any]]:
    live: dict[str, dict[str, GroupReport]] = {group.name: {} for group in cluster.groups}
    old: dict[str, dict[str, GroupReport]] = {}
    for server in cluster.server_names:
        one = seen[server]
        for name, report in one.report.groups.items() if one.report else ():
            if name not in live:
                continue
            if one.live:
                live[name][server] = report
            elif report.state in HOLDING:
                old.setdefault(name, {})[server] = report
    silent = {server for server, one in seen.items() if not one.live}
    return {g.name: _group(g, live[g.name], old.get(g.name, {}), silent, table) for g in cluster.groups}


def _group(
    group: model.Group,
    live: Mapping[str, GroupReport],
    old: Mapping[str, GroupReport],
    silent: set[str],
    table: Table | None,
) -> dict[str, Any]:
    active = [server for server, report in live.items() if report.state in HOLDING]
    record = (table.groups.get(group.name) if table else None) or GroupRecord()
    known = {} if active else _not_superseded(live, old)
    status = "Online Failure" if len(active) > 1 else live[active[0]].state if active else "Offline"
    return {
        "name": group.name,
        "status": "Unknown" if known else status,
        "current": active[0] if active else "",
        "active_on": active,
        "comment": group.comment,
        "policy": list(group.policy),
        "home": group.policy[0] if group.policy else "",
        "autostart": group.autostart,
        "since": live[active[0]].since if active else max((r.since for r in live.values()), default=0.0),
        "detail": _group_detail(active, known, live, record),
        "resources": list(group.resources),
        "held": record.held,
        "goal": record.goal,
        "servers": _group_servers(group, live, old, silent),
    }


def _not_superseded(live: Mapping[str, GroupReport], old: Mapping[str, GroupReport]) -> dict[str, GroupReport]:
    """Of what silent servers held last: that which no order of a later view can have replaced."""
    newest = max((report.epoch for report in live.values()), default=NO_EPOCH)
    return {server: report for server, report in old.items() if report.epoch >= newest}


def _group_detail(
    active: Sequence[str], known: Mapping[str, GroupReport], live: Mapping[str, GroupReport], record: GroupRecord
) -> str:
    if len(active) > 1:
        return f"Active on {' and '.join(active)} at the same time. Stop it on all of them but one."
    if active:
        return live[active[0]].detail
    if known:
        where = " and ".join(f"{report.state} on {server}" for server, report in known.items())
        return f"Last known: {where}, of which nothing is heard now."
    why = " ".join(f"{server}: {report.detail}" for server, report in live.items() if report.detail)
    if record.gave_up:
        return f"No server is left to try. {why}".strip()
    return why or ("Stopped by the operator." if record.held else "")


def _group_servers(
    group: model.Group, live: Mapping[str, GroupReport], old: Mapping[str, GroupReport], silent: set[str]
) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for server in dict.fromkeys((*group.policy, *live)):
        report = live.get(server)
        if report is not None:
            result[server] = {"status": report.state, "since": report.since, "detail": report.detail}
        elif server in old:
            last = old[server]
            result[server] = {"status": "Unknown", "since": last.since, "detail": f"Last known: {last.state}."}
        else:
            result[server] = _NOTHING_HEARD_GROUP if server in silent else _OFFLINE_GROUP
    return result


_OFFLINE_GROUP = {"status": "Offline", "since": 0.0, "detail": ""}
_NOTHING_HEARD_GROUP = {"status": "Unknown", "since": 0.0, "detail": ""}
_OFFLINE = {"status": "Offline", "detail": ""}
_ONLINE = {"status": "Online", "detail": ""}
_UNKNOWN = {"status": "Unknown", "detail": ""}


def _resources(
    cluster: model.Cluster, seen: Mapping[str, _Seen], groups: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    group_of = {resource: group for group in cluster.groups for resource in group.resources}
    live: dict[str, dict[str, ResourceReport]] = {resource.name: {} for resource in cluster.resources}
    for server, one in seen.items():
        for name, report in one.report.resources.items() if one.live and one.report else ():
            if name in live and (report.state != "Offline" or report.detail):
                live[name][server] = report
    silent = [server for server, one in seen.items() if not one.live]
    result = {}
    for resource in cluster.resources:
        group = group_of.get(resource.name)
        status = groups[group.name] if group else None
        result[resource.name] = _resource(resource, group, status, live[resource.name], silent)
    return result


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


def _monitors(cluster: model.Cluster, seen: Mapping[str, _Seen]) -> dict[str, dict[str, Any]]:
    sources = [
        (server, one.report.monitors if one.live and one.report else {}, _monitor_blank(one))
        for server, one in seen.items()
    ]
    result = {}
    for monitor in cluster.monitors:
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


def _monitor_blank(seen: _Seen) -> dict[str, Any]:
    return _monitor(MonitorReport(state="Offline" if seen.live or seen.status == "Offline" else "Unknown"))


def _aggregate(states: set[str]) -> str:
    """Servers where the monitor does not run say nothing about the watched thing."""
    telling = states & {"Normal", "Caution", "Error", "Suspend"}
    if len(telling) == 1:
        return next(iter(telling))
    if telling:
        return "Caution"
    return next(iter(states)) if len(states) == 1 else "Offline"


def _cluster(
    cluster: model.Cluster,
    seen: Mapping[str, _Seen],
    reference: Report | None,
    table: Table | None,
    servers: Mapping[str, dict[str, Any]],
    groups: Mapping[str, dict[str, Any]],
    monitors: Mapping[str, dict[str, Any]],
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
    }


def _cluster_status(
    seen: Mapping[str, _Seen],
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


def _disagreement(seen: Mapping[str, _Seen]) -> str:
    views: dict[str, list[str]] = {}
    for server, one in seen.items():
        if one.live and one.report is not None and one.status in ("Online", "Suspend"):
            views.setdefault(f"{one.report.coordinator or 'none'} (view {one.report.epoch})", []).append(server)
    if len(views) < 2:
        return ""
    sides = "; ".join(f"{', '.join(names)}: coordinator {view}" for view, names in views.items())
    return f"The servers do not follow the same view. {sides}."


def _same(old: Any, new: Any, ages: bool) -> bool:
    if old == new:
        return True
    if ages or old is None or "age_s" not in new:
        return False
    return {**old, "age_s": 0} == {**new, "age_s": 0}
