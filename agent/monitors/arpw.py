"""arpw: keeps the ARP tables of the LAN right."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "arpw",
    "ARP monitor",
    params=(
        Param(
            "parameters/object",
            "Floating IP resource",
            TEXT,
            required=True,
            refers="resource",
            source="clp-conf-format 8",
        ),
    ),
    help="Announces an address again and again.",
    ready=False,
    family="Network",
)

TYPE = MonitorType(SPEC)
