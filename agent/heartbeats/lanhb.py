"""lanhb: heartbeats over a LAN."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "lanhb",
    "LAN Heartbeat",
    params=(
        Param("device", "Device number", integer(0, 299), default=0, refers="device:lan",
              help="The LAN device of each server.", source="clp-conf-format 4"),
    ),
    help="Two or more are recommended, one of them on the LAN of the clients.",
)  # fmt: skip
