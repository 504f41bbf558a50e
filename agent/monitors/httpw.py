"""httpw: asks a web server for a page."""

from __future__ import annotations

from agent.clpconf.schema import BOOLEAN, TEXT, Param, TypeSpec, choice
from agent.monitors import MonitorType
from agent.monitors.connections import server

SPEC = TypeSpec(
    "httpw",
    "HTTP monitor",
    params=(
        *server(80),
        Param(
            "parameters/requesturi",
            "Page",
            TEXT,
            default="",
            help="Path on the server, for example /status.",
            source="clp-conf-format 8",
        ),
        Param("parameters/https", "Encrypted (HTTPS)", BOOLEAN, default=False, source="clp-conf-format 8"),
        Param(
            "parameters/requesttype",
            "Request",
            choice(("0", "HEAD"), ("1", "GET")),
            default="0",
            source="clp-conf-format 8",
        ),
    ),
    help="Abnormal when the web server does not answer.",
    ready=False,
    family="Web and mail",
)

TYPE = MonitorType(SPEC)
