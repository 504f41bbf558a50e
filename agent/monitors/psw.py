"""psw: watches how many processes of a name run."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, integer
from agent.monitors import MonitorType

SPEC = TypeSpec(
    "psw",
    "Process name monitor",
    params=(
        Param(
            "parameters/processname",
            "Process",
            TEXT,
            required=True,
            help="Its command line, or a part of it with * at an end.",
            source="clp-conf-format 8",
        ),
        Param(
            "parameters/processnum", "Least number of processes", integer(1, 999), default=1, source="clp-conf-format 8"
        ),
    ),
    help="Abnormal when too few processes of this name run.",
    ready=False,
    family="System",
)

TYPE = MonitorType(SPEC)
