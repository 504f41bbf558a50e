"""witnesshb: heartbeats through a witness server."""

from __future__ import annotations

from agent.clpconf.schema import HOST, Param, TypeSpec, integer

SPEC = TypeSpec(
    "witnesshb",
    "Witness Heartbeat",
    params=(
        Param("device", "Device number", integer(700, 799), default=700, refers="device:witness",
              help="The device of each server: 1 when it uses this witness.", source="clp-conf-format 4"),
        Param("host", "Host of the witness", HOST, default="", help="Name or address, outside of this cluster.",
              source="clp-conf-format 4"),
        Param("port", "Port", integer(1, 65535), default=80, source="clp-conf-format 4"),
    ),
    help="Tells through a third place that a server lives.",
    ready=False,
)  # fmt: skip
