"""mtw: judges several monitors together."""

from __future__ import annotations

from agent.clpconf.schema import LINK, Param, TypeSpec, choice
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "mtw",
    "Multi target monitor",
    params=(
        Param("parameters/monitor@*", "Monitors", LINK, refers="monitor", source="openclp"),
        Param("parameters/mode", "Abnormal when", choice(("and", "All are abnormal"), ("or", "One is abnormal")),
              default="and", source="openclp"),
    ),
    help="Abnormal when its monitors are.",
    ready=False,
    family="System",
)  # fmt: skip

TYPE = MonitorType(SPEC)
