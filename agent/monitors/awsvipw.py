"""awsvipw: watches a virtual IP address of AWS."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, choice
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "awsvipw",
    "AWS virtual IP monitor",
    params=(
        Param("parameters/mode", "When AWS does not answer",
              choice(("0", "No recovery, no warning"), ("1", "No recovery, but a warning"), ("2", "Recovery")),
              default="0", source="clp-conf-format 8"),
    ),
    help="Abnormal when the route does not point here.",
    ready=False,
    family="Cloud",
)  # fmt: skip

TYPE = MonitorType(SPEC)
