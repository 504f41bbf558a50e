"""azurelbw: watches that no other server answers the load balancer of Azure."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "azurelbw",
    "Azure load balance monitor",
    params=(
        Param(
            "parameters/object",
            "Probe port resource",
            TEXT,
            required=True,
            refers="resource",
            source="clp-conf-format 8",
        ),
    ),
    help="Abnormal when the port is open where its group does not run.",
    ready=False,
    family="Cloud",
)

TYPE = MonitorType(SPEC)
