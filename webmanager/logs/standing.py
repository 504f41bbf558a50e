"""How the cluster stands, in a few lines of plain text for the page of the cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def standing(status: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Mapping[str, Any]) -> Iterator[str]:
    cluster = status["cluster"]
    yield f"Cluster {cluster['name']}: {cluster['status']}, coordinator {cluster['coordinator'] or 'unknown'}"
    for server in status["servers"].values():
        age = f", told {server['age_s']:.0f} s ago" if server.get("age_s", 0.0) >= 1 else ""
        yield f"  Server {server['name']}: {server['status']}{age}{_why(server)}"
    for group in status["groups"].values():
        where = " and ".join(group["active_on"])
        yield f"  Group {group['name']}: {group['status']}{f' on {where}' if where else ''}{_why(group)}"
    for kind, objects in (("Resource", status["resources"]), ("Monitor", status["monitors"])):
        for one in objects.values():
            for server, there in one["servers"].items():
                if there["status"] in ("Error", "Caution", "Online Failure", "Offline Failure"):
                    yield f"  {kind} {one['name']} on {server}: {there['status']}{_why(there)}"


def _why(one: Mapping[str, Any]) -> str:
    return f" ({one['detail']})" if one.get("detail") else ""
