"""What the pages of monitors, heartbeats and single objects show: reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webmanager.measures import samples
from webmanager.measures.models import Frame
from webmanager.measures.samples import COARSE_S, FINE_S, MANY_S, SPANS, Point
from webmanager.models import Cluster

NEAR_PERCENT = 50


def history(*, cluster: Cluster, kind: str, name: str, span: str, now: float) -> dict[str, list[Point]]:
    """server -> points, oldest first. `span`: "day" or "month"."""
    wanted = (FINE_S, MANY_S) if span == "day" else (COARSE_S,)
    shard = samples.shard_of(kind, name)
    rows = Frame.objects.filter(cluster=cluster, shard=shard, span_s__in=wanted, at__gte=int(now) - SPANS[span])
    found: dict[str, list[Point]] = {}
    for at, span_s, data in rows.order_by("at").values_list("at", "span_s", "data"):
        for server, sample in samples.unpacked(bytes(data)).get(kind, {}).get(name, {}).items():
            found.setdefault(server, []).append(Point(at, span_s, sample))
    return dict(sorted(found.items()))


# Monitors.

SORTS = ("name", "state", "since", "worst", "p99", "proposed", "failed")
_GRAVITY = {"Error": 0, "Caution": 1, "Unknown": 2, "Suspend": 3, "Normal": 4, "Offline": 5, "Unused": 6}


def monitor_rows(status: Mapping[str, Any], *, idle: bool = False) -> list[dict[str, Any]]:
    """One row for each monitor and server; `idle`: also where it does not run now."""
    return [
        {
            "name": monitor["name"], "type": monitor["type"], "comment": monitor["comment"],
            "target": monitor["target"], "server": server, "timeout_ms": monitor["timeout_ms"],
            "status": there["status"], "since": there["since"], "detail": there["detail"],
            "restarts": there["restarts"], "failovers": there["failovers"], "responses": there["responses"],
            "longer": _longer(there["responses"], monitor["timeout_ms"]),
        }
        for monitor in status["monitors"].values()
        for server, there in monitor["servers"].items()
        if idle or there["status"] not in ("Offline", "Unused")
    ]  # fmt: skip


def _longer(responses: Mapping[str, Any] | None, timeout_ms: int) -> bool:
    """Is a longer timeout proposed than there is?"""
    return bool(responses) and responses["proposed_ms"] > timeout_ms  # type: ignore[index]


def is_near(row: Mapping[str, Any]) -> bool:
    """Its answers come near the timeout, or some were given up today."""
    found = row["responses"]
    return bool(found) and (found["worst_percent"] >= NEAR_PERCENT or found["timeouts"] > 0 or row["longer"])


def filtered(
    rows: list[dict[str, Any]], *, q: str = "", server: str = "", state: str = "", near: bool = False
) -> list[dict[str, Any]]:
    text = q.strip().lower()
    return [
        row
        for row in rows
        if (not text or any(text in row[key].lower() for key in ("name", "type", "target", "comment")))
        and (not server or row["server"] == server)
        and (not state or row["status"] == state)
        and (not near or is_near(row))
    ]


def ordered(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """`sort`: one of SORTS, the most interesting first; with "-" before it the other way round."""
    name = sort.removeprefix("-")
    found = sorted(rows, key=lambda row: (row["name"], row["server"]))
    if name != "name":
        found.sort(key=lambda row: _rank(row, name))
    return found[::-1] if sort.startswith("-") else found


def _rank(row: Mapping[str, Any], sort: str) -> float:
    if sort == "state":
        return _GRAVITY.get(row["status"], 2)
    if sort == "since":
        return -float(row["since"])
    found = row["responses"]
    if not found:
        return 1.0
    values = {
        "worst": found["worst_percent"],
        "p99": found["p99_ms"],
        "proposed": found["proposed_ms"] / max(1, row["timeout_ms"]),
        "failed": found["timeouts"] * 1000 + found["failures"],
    }
    return -float(values[sort])


# Heartbeats.


def path_rows(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each heartbeat path and pair: how long `hears` was silent about `peer`."""
    return [
        {"path": name, "type": heartbeat["type"], "hears": server["name"], "peer": peer, **path}
        for server in status["servers"].values()
        for name, heartbeat in server["heartbeats"].items()
        for peer, path in heartbeat["peers"].items()
    ]


def pair_rows(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each pair over all paths: what decides."""
    return [
        {"hears": server["name"], "peer": peer, "gaps": gaps}
        for server in status["servers"].values()
        for peer, gaps in server["hears"].items()
        if gaps is not None
    ]


def paths(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every heartbeat path with its worst pair."""
    found: dict[str, dict[str, Any]] = {}
    for row in path_rows(status):
        one = found.setdefault(
            row["path"], {"name": row["path"], "type": row["type"], "worst": None, "broken": 0, "pairs": 0}
        )
        one["pairs"] += 1
        one["broken"] += row["status"] == "Error"
        if row["gaps"] and (one["worst"] is None or row["gaps"]["worst_ms"] > one["worst"]["gaps"]["worst_ms"]):
            one["worst"] = row
    for name, kind in _names(status).items():
        found.setdefault(name, {"name": name, "type": kind, "worst": None, "broken": 0, "pairs": 0})
    return sorted(found.values(), key=lambda one: one["name"])


def _names(status: Mapping[str, Any]) -> dict[str, str]:
    """Resolvers (ping, majority …) stand among the heartbeats of a server, but connect no two servers."""
    return {
        name: one["type"]
        for server in status["servers"].values()
        for name, one in server["heartbeats"].items()
        if one["type"].endswith("hb")
    }
