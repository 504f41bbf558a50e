"""mdw: watches the state of a mirror disk."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "mdw",
    "Mirror disk monitor",
    params=(
        Param("parameters/object", "Mirror disk", TEXT, required=True, refers="resource",
              help="Name of a mirror disk resource.", source="clp-conf-format 8"),
    ),
    help="Abnormal when the two sides of a mirror are not the same.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = MonitorType(SPEC)
