"""servicew: watches a service of Windows servers."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "servicew",
    "Service monitor (Windows)",
    ready=False,
    platform="windows",
    family="Windows only",
)

TYPE = MonitorType(SPEC)
