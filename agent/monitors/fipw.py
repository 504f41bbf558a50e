"""fipw: watches a floating IP address."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "fipw",
    "Floating IP monitor",
    params=(
        Param("parameters/monmii", "Watch the link as well", BOOLEAN, default=False, source="clp-conf-format 8"),
    ),
    help="Abnormal when its address is gone or used elsewhere.",
    ready=False,
    family="Network",
)  # fmt: skip

TYPE = MonitorType(SPEC)
