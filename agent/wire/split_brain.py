"""Whether both sides of a cut can become active with a configuration, and by which cuts."""

from __future__ import annotations

from typing import Any

from agent.clpconf import model


def split_brain(cluster: model.Cluster) -> dict[str, Any]:
    """{"possible": bool, "why": one or two sentences for the administrator}."""
    if len(cluster.servers) < 2:
        return {"possible": False, "why": "The cluster has one server only."}
    fenced = all(cluster.fences_against(server) for server in cluster.server_names)
    if not cluster.majority and fenced:
        why = "A server that is not heard is forced off before its groups start elsewhere; else they stay down."
        return {"possible": False, "why": why}
    if not cluster.majority:
        return {"possible": True, "why": _cut(cluster)}
    rule = "Only the side with more than half of the servers acts"
    if cluster.self_fencing:
        return {
            "possible": False,
            "why": f"{rule}, and a watchdog resets a server that cannot stop its groups in time.",
        }
    if fenced:
        return {"possible": False, "why": f"{rule}, and it forces the others off before it starts their groups."}
    why = (
        f"{rule}, but no watchdog resets a server that hangs: when it hangs and wakes up, "
        "it runs its groups beside the others until it notices."
    )
    return {"possible": True, "why": why}


def _cut(cluster: model.Cluster) -> str:
    names = [heartbeat.name for heartbeat in cluster.heartbeats]
    if not names:
        return "No heartbeat is configured: every server takes the others for dead and starts the groups."
    paths = f"If {names[0]} fails" if len(names) == 1 else f"If all of {', '.join(names)} fail at once"
    return (
        f"{paths}, both sides take each other for dead and start the groups, "
        "because no majority resolver is configured."
    )
