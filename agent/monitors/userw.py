"""userw: resets a server whose user space is stalled.

Whatever the method says, the supervisor's watchdog rule does it: watchdog devices are not driven yet.
"""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, Param, TypeSpec, Values, choice, integer
from agent.monitors import Health, MonitorType
from agent.ports import Ports

SPEC = TypeSpec(
    "userw",
    "User mode monitor",
    params=(
        Param(
            "parameters/method", "Method", choice("keepalive", "softdog", "ipmi"), default="keepalive",
            help="What ends a stalled server.",
        ),
        Param("parameters/action", "Action", choice("RESET", "PANIC"), default="RESET"),
        Param("parameters/usehb", "Use the heartbeat's interval and timeout", BOOLEAN, default=True),
        Param("parameters/repopen", "Open a file each time", BOOLEAN, default=False),
        Param("parameters/repwrite", "Write a file each time", BOOLEAN, default=False),
        Param("parameters/writesize", "Size of the file", integer(1, 9999999), default=10000, unit="bytes"),
        Param("parameters/mkthread", "Start a thread each time", BOOLEAN, default=False),
    ),
    help="Ends this server when it does not work any more, so that another one may take over.",
)  # fmt: skip


async def check(values: Values, _target: str, _watched: Values, _ports: Ports) -> Health:
    method = values["parameters/method"]
    return Health(True, "" if method == "keepalive" else f"the supervisor takes the part of {method}")


TYPE = MonitorType(SPEC, check)
