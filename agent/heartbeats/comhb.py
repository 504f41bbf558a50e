"""comhb: heartbeats over a serial line between two servers."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "comhb",
    "COM Heartbeat",
    params=(
        Param("device", "Device number", integer(500, 599), default=500, refers="device:com",
              help="The serial port of each server.", source="openclp"),
    ),
    help="For two servers: a way that no network fault can cut.",
    ready=False,
)  # fmt: skip
