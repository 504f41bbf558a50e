"""userw: resets a server whose user space is stalled.

The check itself only shows that the daemon still runs checks. What resets the server is the heartbeat process, and
where the method is softdog or ipmi a watchdog device that it keeps (agent/daemon/watchdog.py).
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
    family="System",
)  # fmt: skip


async def check(_values: Values, _target: str, _watched: Values, _ports: Ports) -> Health:
    return Health(True)  # That it ran is the news.


TYPE = MonitorType(SPEC, check)
