"""Is a drill safe now? Every reason against it, by the coordinator's own knowledge at the moment of the start.

The rules
- A drill is a failure in a cluster that is well, never a second failure in one that is not: all servers are there, no
  group is on its way or in failure, nothing is suspended, changed, or drilled already, no server is in quarantine.
- What fails must have a successor: each group of a server that will be lost has another one by all rules of placement,
  and those who stay have the majority where one is needed.
- No group may become active twice. A hang stops the agent, not what runs: it is allowed on a server that holds groups
  only where a watchdog resets the machine, or where it is too short to be noticed. A server whose heartbeats are all
  cut off has to give its groups up by itself, so there must be a lease (a majority).
- Whatever a drill leads to ends by itself: nothing is drilled that powers a server off, shuts it down, or would bring
  it into quarantine.
- A pretended failure of a monitor leads to restart and failover, and never to the final action (engine/drills.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.clpconf.model import Cluster, Monitor
from agent.engine.coordinator import Coordinator
from agent.engine.firing import PETS, fires_after_s
from agent.wire.drill import UNNOTICED, Drill
from agent.wire.report import HOLDING, Report

_FAILED = ("Online Failure", "Offline Failure")


def hindrances(plan: Coordinator, drill: Drill, server: str) -> list[str]:
    """All reasons, in the order of their weight; [] when it is safe."""
    found = list(_not_well(plan))
    report = plan.reports.of(server)
    if found or report is None:
        return found or [f"{server} has not reported yet."]
    if drill.kind == "monitor":
        return list(_monitor(plan, drill, server, report))
    if drill.kind == "link":
        found += _link(plan.core.cluster, drill, server, report)
    if drill.kind == "hang":
        found += _hang(plan.core.cluster, drill, server, report)
    if is_lost(plan.core.cluster, drill, server, report):
        found += _loss(plan, server)
    return found


def is_lost(cluster: Cluster, drill: Drill, server: str, report: Report) -> bool:
    """Will the others take the server for lost?"""
    if drill.kind == "hang":
        return drill.bound_s > _unnoticed_s(cluster, report)
    if drill.kind == "link":
        return bool(_cut_off(cluster, drill, server, report))
    return drill.kind != "monitor"


def _unnoticed_s(cluster: Cluster, report: Report) -> float:
    """The longest hang that changes nothing. A watchdog fires earlier than the others count a server lost, and its last
    pet may be two of them ago when the hang begins."""
    unnoticed_s = UNNOTICED * cluster.timeout_s
    if report.watchdog != "armed":
        return unnoticed_s
    return min(unnoticed_s, fires_after_s(cluster.timeout_s) * (1 - 2 / PETS))


def _cut_off(cluster: Cluster, drill: Drill, server: str, report: Report) -> list[str]:
    """Servers with which no working path is left."""
    cut = drill.heartbeats or tuple(heartbeat.name for heartbeat in cluster.heartbeats)
    left = {
        peer: [name for name, path in report.paths.get(peer, {}).items() if path.state == "Normal" and name not in cut]
        for peer in cluster.server_names
        if peer != server
    }
    return [peer for peer, paths in left.items() if not paths]


def _not_well(plan: Coordinator) -> Iterator[str]:
    membership, table, cluster = plan.membership, plan.table, plan.core.cluster
    members = plan.available()
    if away := [name for name in cluster.server_names if name not in members]:
        yield f"{', '.join(away)} is not online: a drill needs all servers."
    missed = [name for name, peer in membership.peers.items() if peer.lost or not peer.alive]
    if membership.proposal is not None or membership.promised != membership.view.epoch or missed:
        yield "The servers are agreeing on who is in the cluster. Try again in a moment."
    if table.suspended:
        yield "The cluster is suspended; resume it first (clpcl --resume)."
    if table.closing:
        yield "The cluster is being stopped."
    if table.applying is not None:
        yield "The configuration is being changed. Try again when that is confirmed or taken back."
    if table.quarantine:
        yield f"{', '.join(table.quarantine)} is in quarantine; release it first (clpcl --release)."
    if table.disarmed:
        yield "Fencing and watchdogs are disarmed; arm them first (clpfence arm)."
    yield from _groups_not_well(plan)
    for name in members:
        report = plan.reports.of(name)
        if report is not None and report.drill is not None:
            yield f"A drill runs on {name} already ({report.drill.what}); end it first, or wait for its end."


def _groups_not_well(plan: Coordinator) -> Iterator[str]:
    members = plan.membership.view.members
    moving = set(plan.moving)
    for group in plan.core.cluster.groups:
        states = {server: plan.group_report(server, group.name).state for server in members}
        if bad := [server for server, state in states.items() if state in _FAILED]:
            yield f"{group.name} is in {states[bad[0]]} on {bad[0]}; mend that first."
        elif any(state in HOLDING and state != "Online" for state in states.values()):
            moving.add(group.name)
        elif plan.record(group.name).gave_up:
            yield f"{group.name} runs nowhere: no server was left for it. Start or stop it first."
    if moving:
        yield f"{', '.join(sorted(moving))} must come to rest first."


def _loss(plan: Coordinator, server: str) -> Iterator[str]:
    """What speaks against losing this server for a while."""
    cluster, table = plan.core.cluster, plan.table
    if cluster.fences_against(server):
        yield (
            f"A fence device covers {server}: it would really be forced off, and nothing switches it on again. Try the "
            "device with clpfence instead."
        )
    left = [name for name in plan.membership.view.members if name != server]
    if cluster.majority and (lacking := plan.membership.partition.hopeful(left)):
        yield f"Without {server} there is no majority: more than half of {', '.join(lacking)} must be there."
    elif not left:
        yield f"{server} is the only server."
    for group in cluster.groups:
        if plan.record(group.name).goal != server or plan.heir(group, server):
            continue
        if not group.auto_failover:
            yield f"{group.name} would stay offline: its failover attribute is manual."
        else:
            yield f"{group.name} would stay offline: no other server of its failover policy may take it."
    lost = len(table.lost_at.get(server, ())) + 1
    if cluster.quarantine_count and lost >= cluster.quarantine_count:
        window_s = cluster.quarantine_window_s
        yield f"It would be loss {lost} of {server} within {window_s:g} s and bring it into quarantine. Wait a while."


def _hang(cluster: Cluster, drill: Drill, server: str, report: Report) -> Iterator[str]:
    held = [name for name, group in report.groups.items() if group.state in HOLDING]
    if held and report.watchdog != "armed" and is_lost(cluster, drill, server, report):
        yield (
            f"{', '.join(held)} would be active twice: a hang stops the agent of {server}, not what runs there, and no "
            f"watchdog resets it. Drill a crash, or a hang of at most {UNNOTICED * cluster.timeout_s:g} s."
        )


def _link(cluster: Cluster, drill: Drill, server: str, report: Report) -> Iterator[str]:
    alone = _cut_off(cluster, drill, server, report)
    if alone and not cluster.majority:
        yield (
            f"{server} would have no path to {', '.join(alone)}, and nothing decides which side goes on: groups would "
            "be active twice. Leave a path, or configure a majority or witness resolver."
        )
    elif alone and cluster.npaction:
        yield (
            f"{server} would be cut off, and then more than its groups would be stopped, as configured (npaction "
            f"{cluster.npaction}). Leave a path, or set the action at network partition to 0."
        )


def _monitor(plan: Coordinator, drill: Drill, server: str, report: Report) -> Iterator[str]:
    monitor, now = plan.core.cluster.monitor(drill.monitor), report.monitors.get(drill.monitor)
    if now is None or now.state not in ("Normal", "Caution"):
        state = now.state if now is not None else "Offline"
        yield f"{monitor.name} is {state} on {server}: only a monitor that runs and finds nothing wrong can be drilled."
        return
    group = _target(plan, monitor)
    if not group:
        yield f"{monitor.name} has no group to recover: a failure of it is only shown, or leads to its final action."
    elif monitor.observe or plan.core.cluster.ignore_monitor_errors:
        yield f"{monitor.name} only observes: nothing would follow."
    elif now.restarts >= monitor.restart_threshold and now.failovers >= monitor.failover_threshold:
        yield f"{monitor.name} has used up its recoveries; wait until it has been normal for a while."
    elif now.failovers < monitor.failover_threshold and not _elsewhere(plan, group, server):
        yield f"{group} would stay offline: no other server of its failover policy may take it."


def _target(plan: Coordinator, monitor: Monitor) -> str:
    if monitor.recovery_type == "grp":
        return monitor.recovery_name
    found = plan.core.cluster.group_of(monitor.recovery_name) if monitor.recovery_type == "rsc" else None
    return found.name if found is not None else ""


def _elsewhere(plan: Coordinator, group: str, server: str) -> str:
    return plan.place(plan.group[group], (*plan.record(group).tried, server))


def remarks(cluster: Cluster, drill: Drill, report: Report) -> Sequence[str]:
    """What an administrator should know of a drill that is allowed."""
    found = []
    lost = is_lost(cluster, drill, report.server, report)
    if drill.kind in ("crash", "hang") and report.watchdog == "armed" and lost:
        found.append(f"The watchdog of {report.server} resets the machine, as it does when the agent really dies.")
    if drill.kind == "reset":
        found.append(f"{report.server} is reset without warning; it is back when it has booted.")
    if drill.kind == "crash":
        found.append(f"The groups of {report.server} are taken down first, so that none of them is active twice.")
    if not lost and drill.kind != "monitor":
        found.append("Nothing should move.")
    return found
