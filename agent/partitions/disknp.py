"""disknp: a shared disk has a vote; the side of a partition that reaches it in time may act."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "disknp",
    "disk resolution",
    params=(
        Param(
            "device",
            "Device number",
            integer(300, 10199),
            default=10100,
            refers="device:disknp",
            help="The device of each server with the path of the shared disk or partition, of 1 MiB or more.",
        ),
    ),
    help="A partition that all servers see, used for nothing else; clpdisknp init prepares it.",
)
