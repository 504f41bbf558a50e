"""A cluster's status as metrics for Prometheus (text format 0.0.4); agents and the manager show the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GROUP_STATES = ("Online", "Offline", "Online Pending", "Offline Pending", "Online Failure", "Offline Failure")
_MONITOR_STATES = ("Normal", "Caution", "Error", "Suspend", "Offline", "Unused", "Unknown")

Labels = Mapping[str, str]


class Sample(NamedTuple):
    name: str
    labels: Labels
    value: float


_HELP = {
    "openclp_status_age_seconds": "Age of what is known of a server.",
    "openclp_cluster_suspended": "1 while the cluster is suspended.",
    "openclp_cluster_split_brain": "1 while groups may run on both sides of a cut.",
    "openclp_cluster_fencing_armed": "1 while fence devices and watchdogs are armed.",
    "openclp_cluster_coordinator": "1 for the server that coordinates.",
    "openclp_server_up": "1 while the server is Online.",
    "openclp_server_quarantined": "1 while the server is left alone.",
    "openclp_heartbeat_up": "1 while this path from server to peer is heard.",
    "openclp_heartbeat_gap_worst_seconds": "Longest silence between two heartbeats that was measured.",
    "openclp_group_state": "1 for the state that the group has, 0 for the others.",
    "openclp_group_active": "1 on the server where the group is active.",
    "openclp_resource_up": "1 while the resource is Online.",
    "openclp_monitor_state": "1 for the state that the monitor has, 0 for the others.",
    "openclp_monitor_response_seconds": "What the newest check took.",
    "openclp_monitor_response_most_seconds": "99 of 100 good checks took no longer today.",
    "openclp_monitor_response_worst_seconds": "The longest good check of today.",
    "openclp_monitor_timeouts": "Checks of today that were given up at the timeout.",
    "openclp_monitor_recoveries": "Recoveries that count towards the threshold.",
    "openclp_alerts_waiting": "Alerts that wait to be sent.",
    "openclp_alerts_kept": "Entries of the alert log.",
    "openclp_agent_connected": "1 while the manager is connected to this agent.",
    "openclp_agent_up": "1 when the agent answered.",
}


def of_status(status: Mapping[str, Any]) -> Iterator[Sample]:
    """All that one status says."""
    cluster = str(status["cluster"]["name"])
    yield from _cluster(cluster, status["cluster"])
    for name, server in status["servers"].items():
        yield from _server(cluster, name, server)
    for name, group in status["groups"].items():
        labels = {"cluster": cluster, "group": name}
        yield from _states("openclp_group_state", labels, group["status"], _GROUP_STATES)
        for server in status["servers"]:
            yield Sample("openclp_group_active", {**labels, "server": server}, float(server in group["active_on"]))
    for name, resource in status["resources"].items():
        labels = {"cluster": cluster, "resource": name, "group": resource["group"], "type": resource["type"]}
        yield Sample("openclp_resource_up", labels, float(resource["status"] == "Online"))
    for name, monitor in status["monitors"].items():
        yield from _monitor(cluster, name, monitor)


def text(samples: Iterable[Sample]) -> str:
    """Grouped by name, as the format demands."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines: list[str] = []
    for name, some in by_name.items():
        lines += (f"# HELP {name} {_HELP.get(name, name)}", f"# TYPE {name} gauge")
        lines += (f"{name}{_labels(sample.labels)} {_number(sample.value)}" for sample in some)
    return "".join(f"{line}\n" for line in lines)


def _cluster(cluster: str, about: Mapping[str, Any]) -> Iterator[Sample]:
    labels = {"cluster": cluster}
    yield Sample("openclp_cluster_suspended", labels, float(bool(about.get("suspended"))))
    # `possible` alone is how the cluster is built; two views at once are what is meant here.
    sides = (about.get("partition") or {}).get("sides") or ()
    acting = sum(bool(side.get("acts")) for side in sides)
    yield Sample("openclp_cluster_split_brain", labels, float(acting > 1))
    fencing = about.get("fencing") or {}
    if fencing.get("covered") or fencing.get("self_fencing"):
        yield Sample("openclp_cluster_fencing_armed", labels, float(bool(fencing.get("armed"))))
    if about.get("coordinator"):
        yield Sample("openclp_cluster_coordinator", {**labels, "server": str(about["coordinator"])}, 1.0)


def _server(cluster: str, name: str, server: Mapping[str, Any]) -> Iterator[Sample]:
    labels = {"cluster": cluster, "server": name}
    yield Sample("openclp_server_up", labels, float(server["status"] == "Online"))
    yield Sample("openclp_server_quarantined", labels, float(bool(server.get("quarantine"))))
    if server.get("age_s") is not None:
        yield Sample("openclp_status_age_seconds", labels, float(server["age_s"]))
    for path, heartbeat in (server.get("heartbeats") or {}).items():
        for peer, heard in (heartbeat.get("peers") or {}).items():
            on = {**labels, "heartbeat": path, "peer": peer}
            yield Sample("openclp_heartbeat_up", on, float(heard.get("status") == "Normal"))
            gaps = heard.get("gaps")
            if gaps and gaps.get("worst_ms") is not None:
                yield Sample("openclp_heartbeat_gap_worst_seconds", on, float(gaps["worst_ms"]) / 1000)


def _monitor(cluster: str, name: str, monitor: Mapping[str, Any]) -> Iterator[Sample]:
    labels = {"cluster": cluster, "monitor": name, "type": monitor["type"]}
    for server, there in (monitor.get("servers") or {}).items():
        on = {**labels, "server": server}
        yield from _states("openclp_monitor_state", on, there["status"], _MONITOR_STATES)
        if there.get("elapsed_ms") is not None and there["elapsed_ms"] >= 0:
            yield Sample("openclp_monitor_response_seconds", on, float(there["elapsed_ms"]) / 1000)
        if found := there.get("responses"):
            yield Sample("openclp_monitor_response_most_seconds", on, float(found["p99_ms"]) / 1000)
            yield Sample("openclp_monitor_response_worst_seconds", on, float(found["worst_ms"]) / 1000)
            yield Sample("openclp_monitor_timeouts", on, float(found["timeouts"]))
        yield Sample("openclp_monitor_recoveries", {**on, "kind": "restart"}, float(there.get("restarts") or 0))
        yield Sample("openclp_monitor_recoveries", {**on, "kind": "failover"}, float(there.get("failovers") or 0))


def _states(name: str, labels: Labels, state: str, known: tuple[str, ...]) -> Iterator[Sample]:
    for one in known:
        yield Sample(name, {**labels, "state": one}, float(one == state))


def _labels(labels: Labels) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
