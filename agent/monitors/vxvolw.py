"""vxvolw: watches a volume of VxVM."""

from __future__ import annotations

from agent.clpconf.schema import DEVICE, Param, TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "vxvolw",
    "VxVM volume monitor",
    params=(
        Param("parameters/object", "Volume", DEVICE, required=True, help="For example /dev/vx/rdsk/dg1/vol1.",
              source="openclp"),
    ),
    help="Abnormal when the volume cannot be read.",
    ready=False,
    family="Storage",
)  # fmt: skip

TYPE = MonitorType(SPEC)
