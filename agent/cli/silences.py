"""clpstat --hb: how long the servers are silent about each other, and how near that comes to the timeout."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from agent.cli.table import frame, rule

Json = Mapping[str, Any]

_HEAD = f"    {'peer':<14}{'path':<12}{'p50':>8}{'p99':>8}{'p99.9':>8}{'worst':>8}{'when':>10}"
_WHY = {
    "worst": "twice the longest silence",
    "interval": "three intervals",
    "tail": "one beat in 10 000 may be that late",
    "late": "a heartbeat process waited for its CPU",
    "lease": "the lease must be renewed in time",
}
ALL_PATHS = "all paths"
_NEAR_PERCENT = 70


def silences(status: Json, me: str, now: float) -> str:
    """A table for each server: over all paths of a peer, then path by path; times are local."""
    lines = [f"  Cluster : {status['cluster']['name']}"]
    lines += [f"  {line}" for line in summary(status, now)]
    for server in status["servers"].values():
        here = "*" if server["name"] == me else " "
        lines += ["", f" {here}[on {server['name']} : {server['status']}]", f"{_HEAD}   of timeout", rule(4)]
        lines += [line for peer in status["servers"] for line in _peer(server, peer)] or ["    nothing measured yet"]
        lines += _own(server)
    return frame("HEARTBEAT SILENCES", lines)


def summary(status: Json, now: float) -> list[str]:
    """What the figures say, in sentences."""
    silence = status["cluster"].get("silence")
    if silence is None:
        return ["Too little was measured yet: the first figures come half a minute after the start."]
    span = _span(now - silence["since"])
    lines = [
        f"Timeout {silence['timeout_ms']:g} ms, interval {silence['interval_ms']:g} ms. Worst silence in {span}: "
        f"{silence['worst_ms']:g} ms,",
        f"{silence['worst_percent']} % of the timeout ({silence['heard_of']}, as heard by {silence['heard_by']}).",
        f"Proposed timeout: {silence['proposed_ms']} ms or more ({_WHY.get(silence['rule'], silence['rule'])}).",
    ]
    if silence["cuts"]:
        lines.append(
            f"Not counted: {silence['cuts']} interruptions beyond the timeout, the longest {silence['cut_ms']:g} ms."
        )
    return lines


def notes(status: Json, *, always: bool) -> list[str]:
    """What belongs below every table when it is near trouble; `always`: also when all is well."""
    found = [
        f"{server['name']} is short of time: it suspects itself first, and others later."
        for server in status["servers"].values()
        if server.get("health", {}).get("suspects")
    ]
    silence = status["cluster"].get("silence")
    if silence is not None and (always or silence["worst_percent"] >= _NEAR_PERCENT):
        found.append(
            f"The worst silence today is {silence['worst_percent']} % of the heartbeat timeout "
            f"({silence['worst_ms']:g} of {silence['timeout_ms']:g} ms). clpstat --hb shows more."
        )
    return found


def as_json(status: Json) -> dict[str, Any]:
    """The parts of a status that the table is made of."""
    return {
        "silence": status["cluster"].get("silence"),
        "servers": {
            name: {
                "hears": server.get("hears", {}),
                "paths": {
                    heartbeat: {peer: path.get("gaps") for peer, path in one["peers"].items()}
                    for heartbeat, one in server["heartbeats"].items()
                    if one["peers"]
                },
                "health": server.get("health"),
            }
            for name, server in status["servers"].items()
        },
    }


def _peer(server: Json, peer: str) -> Iterable[str]:
    if gaps := server.get("hears", {}).get(peer):
        yield _line(peer, ALL_PATHS, gaps)
    for name, heartbeat in server["heartbeats"].items():
        if gaps := heartbeat["peers"].get(peer, {}).get("gaps"):
            yield _line("", name, gaps)


def _own(server: Json) -> Iterable[str]:
    health = server.get("health") or {}
    for key, words in (("lease", "renewals of the lease"), ("late", "own lateness"), ("daemon", "its daemon's")):
        if gaps := health.get(key):
            yield _line(words, "", gaps)
    if health.get("suspects"):
        yield "    This server is short of time: it suspects itself first."


def _line(peer: str, path: str, gaps: Json) -> str:
    when = time.strftime("%H:%M:%S", time.localtime(gaps["worst_at"])) if gaps["worst_at"] else "-"
    figures = "".join(f"{_ms(gaps[key]):>8}" for key in ("p50_ms", "p99_ms", "p999_ms", "worst_ms"))
    name = f"{peer} " if len(peer) > 13 else f"{peer:<14}"
    return f"    {name}{path:<{26 - len(name)}}{figures}{when:>10}{gaps['worst_percent']:>11} %"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _span(seconds: float) -> str:
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min"
    return f"{round(seconds / 3600)} h"
