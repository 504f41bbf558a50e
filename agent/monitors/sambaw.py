"""sambaw: opens a share of a Samba server."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec
from agent.monitors import MonitorType
from agent.monitors.connections import SIGN_IN, server

SPEC = TypeSpec(
    "sambaw",
    "Samba monitor",
    params=(
        *server(139),
        Param(
            "parameters/database",
            "Share",
            TEXT,
            default="",
            help="Name of the shared directory.",
            source="clp-conf-format 8",
        ),
        *SIGN_IN,
    ),
    help="Abnormal when the share cannot be opened.",
    ready=False,
    family="File services",
)

TYPE = MonitorType(SPEC)
