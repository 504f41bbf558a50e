"""What the arbiter child is told by the supervisor, once, as JSON on its standard input. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# In real time like the heartbeats, a little below them, and for less of the processor.
PRIORITY = 19
RUNTIME_MS, PERIOD_MS = 1, 20


class ArbiterSettings(NamedTuple):
    me: str
    cluster: str
    servers: list[str]
    incarnation: int
    interval_s: float
    timeout_s: float
    secret: str  # hex; of the witnesses only
    # One each: {"name", "type": "httpnp", "host", "port"} or {"name", "type": "disknp", "path"}; with "unused": a
    # sentence, this server does not use it.
    arbiters: list[dict[str, Any]]
    socket: str  # where the daemon finds us
    confirm: str  # datagram socket of the heartbeat child
    run: str  # directory for locks
    service: str = ""  # what the child before this one said last; "" while no daemon has spoken


def arbiters_of(model: Mapping[str, Any], me: str) -> list[dict[str, Any]]:
    """From the model of clp.conf: what this server has to ask."""
    devices = {d["id"]: d for server in model["servers"] if server["name"] == me for d in server["devices"]}
    found: list[dict[str, Any]] = []
    for resolver in model["resolvers"]:
        device = devices.get(resolver["device"], {})
        if resolver["type"] == "httpnp":
            found.append(_witness(resolver, device))
        elif resolver["type"] == "disknp":
            found.append(_disk(resolver, device, me))
    return found


def _witness(resolver: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    values = resolver["values"]
    found = {
        "name": resolver["name"], "type": "httpnp", "host": str(values.get("host", "")).strip().strip("[]"),
        "port": int(values.get("port") or 80),
    }  # fmt: skip
    if device.get("info") == "0":
        found["unused"] = f"device {resolver['device']} of this server is 0: it does not use this witness"
    elif not found["host"]:
        found["unused"] = "no host is configured"
    return found


def _disk(resolver: Mapping[str, Any], device: Mapping[str, Any], me: str) -> dict[str, Any]:
    found = {"name": resolver["name"], "type": "disknp", "path": device.get("info", "")}
    if not found["path"]:
        found["unused"] = f"server {me} has no device {resolver['device']} with the path of the shared disk"
    return found
