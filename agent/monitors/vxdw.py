"""vxdw: watches the daemon of VxVM."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "vxdw",
    "VxVM daemon monitor",
    help="Abnormal when vxconfigd does not run.",
    ready=False,
    family="Storage",
)

TYPE = MonitorType(SPEC)
