"""smtpw: greets a mail server."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.connections import server

SPEC = TypeSpec(
    "smtpw",
    "SMTP monitor",
    params=server(25),
    help="Abnormal when the server does not answer.",
    ready=False,
    family="Web and mail",
)

TYPE = MonitorType(SPEC)
