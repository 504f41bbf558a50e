"""osmw: watches memory, files and processes of the operating system."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "osmw",
    "System monitor",
    help="Abnormal when the resources of the operating system run out.",
    ready=False,
    family="System",
)

TYPE = MonitorType(SPEC)
