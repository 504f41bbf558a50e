"""vmw: watches a virtual machine."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, seconds
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "vmw",
    "Virtual machine monitor",
    params=(
        Param(
            "parameters/object",
            "Virtual machine resource",
            TEXT,
            required=True,
            refers="resource",
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/waittime",
            "Wait for an answer",
            seconds(0, 9999),
            default=240,
            unit="s",
            advanced=True,
            source="clp-conf-format 8",
        ),
    ),
    help="Abnormal when the virtual machine does not run.",
    ready=False,
    family="Virtual machines",
)

TYPE = MonitorType(SPEC)
