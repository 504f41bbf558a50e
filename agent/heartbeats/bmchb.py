"""bmchb: heartbeats between the management boards of the servers."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "bmchb",
    "BMC Heartbeat",
    params=(
        Param("device", "Device number", integer(600, 699), default=600, refers="device:bmc",
              help="The management board of each server.", source="clp-conf-format 4"),
    ),
    help="A way past the operating system.",
    ready=False,
)  # fmt: skip
