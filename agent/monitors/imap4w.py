"""imap4w: signs in to an IMAP4 server."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec
from agent.monitors import MonitorType
from agent.monitors.connections import SIGN_IN, server

SPEC = TypeSpec(
    "imap4w",
    "IMAP4 monitor",
    params=(*server(143), *SIGN_IN),
    help="Abnormal when the server does not answer.",
    ready=False,
    family="Web and mail",
)

TYPE = MonitorType(SPEC)
