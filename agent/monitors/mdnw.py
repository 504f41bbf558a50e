"""mdnw: watches the connections of a mirror disk."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "mdnw",
    "Mirror disk connect monitor",
    params=(
        Param("parameters/object", "Mirror disk", TEXT, required=True, refers="resource",
              help="Name of a mirror disk resource.", source="clp-conf-format 8"),
    ),
    help="Abnormal when a mirror disk connect is broken.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = MonitorType(SPEC)
