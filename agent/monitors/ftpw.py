"""ftpw: signs in to an FTP server."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.connections import SIGN_IN, server

SPEC = TypeSpec(
    "ftpw",
    "FTP monitor",
    params=(*server(21), *SIGN_IN),
    help="Abnormal when the server does not answer.",
    ready=False,
    family="Web and mail",
)

TYPE = MonitorType(SPEC)
