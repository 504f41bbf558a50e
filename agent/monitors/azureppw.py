"""azureppw: watches a probe port of Azure."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, choice
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "azureppw",
    "Azure probe port monitor",
    params=(
        Param("parameters/mode", "When the load balancer asks no more",
              choice(("0", "No recovery, no warning"), ("1", "No recovery, but a warning"), ("2", "Recovery")),
              default="0", source="clp-conf-format 8"),
    ),
    help="Abnormal when the port does not answer.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = MonitorType(SPEC)
