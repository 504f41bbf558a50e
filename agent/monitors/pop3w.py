"""pop3w: signs in to a POP3 server."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.connections import SIGN_IN, server

SPEC = TypeSpec(
    "pop3w",
    "POP3 monitor",
    params=(*server(110), *SIGN_IN),
    help="Abnormal when the server does not answer.",
    ready=False,
    family="Web and mail",
)

TYPE = MonitorType(SPEC)
