"""Who may act when servers do not hear each other, by which votes, and what that means for those who are not heard.

The facts are for everybody who shows them in words of his own (`case` is stable); `why` is the English sentence.
Cases: whole (all hear each other, or have stopped in order), votes, ping, fenced, unsafe (one side acts, because of
that), both (two sides act), nobody (no side acts), unknown (nobody reports).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.clpconf import model
from agent.wire.epoch import NO_EPOCH
from agent.wire.report import Report
from agent.wire.status.seen import Seen

_RUNNING = ("Online", "Suspend", "Offline Pending")


def partition_part(cluster: model.Cluster, seen: Mapping[str, Seen], reference: Report | None) -> dict[str, Any]:
    sides = _sides(seen)
    acting = [side for side in sides if side["acts"]]
    # Of sides of the same cluster the newest view counts; an older one has not noticed yet, or was not told.
    idle = [server for side in sides if not side["acts"] for server in side["servers"]]
    silent = [name for name, one in seen.items() if not one.live and not _stopped(one)]
    voters, present = _votes(seen, acting, reference)
    part = {
        "case": _case(cluster, acting, idle, silent, any_live=any(one.live for one in seen.values())),
        "acting": [server for side in acting for server in side["servers"]],
        "idle": idle,
        "silent": silent,
        "sides": sides,
        "voters": list(voters),
        "present": list(present),
        "needed": len(voters) // 2 + 1 if voters else 0,
        "self_fencing": cluster.self_fencing,
    }
    return {**part, "why": _why(cluster, part, seen)}


def _sides(seen: Mapping[str, Seen]) -> list[dict[str, Any]]:
    """Servers that speak for themselves, by the view they follow; the newest view first."""
    found: dict[tuple[Any, ...], list[Report]] = {}
    for one in seen.values():
        if one.live and one.report is not None and one.status in _RUNNING and one.report.epoch != NO_EPOCH:
            found.setdefault((one.report.epoch, one.report.coordinator, one.report.acts), []).append(one.report)
    return [
        {
            "servers": [report.server for report in reports],
            "coordinator": reports[0].coordinator,
            "epoch": str(reports[0].epoch),
            "acts": reports[0].acts,
        }
        for _, reports in sorted(found.items(), key=lambda item: (item[0][0], item[0][2]), reverse=True)
    ]


def _stopped(one: Seen) -> bool:
    return one.report is not None and one.report.service == "stopped"


def _votes(
    seen: Mapping[str, Seen], acting: Sequence[Mapping[str, Any]], reference: Report | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As the coordinator of the acting side tells them."""
    name = acting[0]["coordinator"] if acting else reference.coordinator if reference else ""
    report = seen[name].report if name in seen else None
    return (report.votes.voters, report.votes.present) if report is not None and report.votes is not None else ((), ())


def _case(
    cluster: model.Cluster, acting: Sequence[Any], idle: Sequence[str], silent: Sequence[str], *, any_live: bool
) -> str:
    if not any_live:
        return "unknown"
    if len(acting) > 1:
        return "both"
    if not silent and not idle:
        return "whole"
    if not acting:
        return "nobody" if idle else "unknown"
    if cluster.majority:
        return "votes"
    if silent and all(cluster.fences_against(server) for server in silent):
        return "fenced"
    return "ping" if cluster.pings else "unsafe"


def _why(cluster: model.Cluster, part: Mapping[str, Any], seen: Mapping[str, Seen]) -> str:
    acting, idle, silent = (", ".join(part[key]) for key in ("acting", "idle", "silent"))
    if part["case"] == "whole":
        return "All servers that run hear each other." if acting else "No server runs."
    if part["case"] == "unknown":
        return "No server that runs reports."
    if part["case"] == "both":
        sides = " and ".join(", ".join(side["servers"]) for side in part["sides"] if side["acts"])
        return f"{sides} do not follow the same view, and each side acts."
    if part["case"] == "nobody":
        reasons = " ".join(f"{name}: {seen[name].detail}" for name in part["idle"] if seen[name].detail)
        return f"No server may run groups. {reasons}".strip()
    away = f" {idle} does not act." if idle else ""
    return f"{acting} may act: {_reason(cluster, part)}{away}" + (f" {_of_silent(cluster, part)}" if silent else "")


def _reason(cluster: model.Cluster, part: Mapping[str, Any]) -> str:
    if part["case"] == "votes" and part["voters"]:
        present, voters = part["present"], part["voters"]
        return f"{len(present)} of {len(voters)} votes agreed ({', '.join(present)} of {', '.join(voters)})."
    if part["case"] == "votes":
        return "more than half of the votes agreed."
    if part["case"] == "fenced":
        return "who is not heard is forced off before its groups start here."
    if part["case"] == "ping":
        return f"{', '.join(cluster.pings)} is reached from here."
    return "no resolver is configured that could tell otherwise."


def _of_silent(cluster: model.Cluster, part: Mapping[str, Any]) -> str:
    silent = ", ".join(part["silent"])
    if part["case"] == "fenced":
        return f"{silent} is not heard."
    if part["case"] == "votes":
        hung = "" if cluster.self_fencing else ", unless it hangs"
        return f"{silent} is not heard: if it still runs, its lease has run out and it has stopped its groups{hung}."
    if part["case"] == "ping":
        return (
            f"{silent} is not heard: if it reaches no ping target either, it has stopped its groups; else it runs them."
        )
    return f"{silent} is not heard: if it still runs, it runs its groups as well."
