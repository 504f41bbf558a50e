"""pingnp: a server that reaches none of some addresses outside of the cluster takes itself for the one cut off."""

from __future__ import annotations

from agent.clpconf.schema import IP, Param, TypeSpec, integer

SPEC = TypeSpec(
    "pingnp",
    "ping resolution",
    params=(
        Param(
            "device",
            "Device number",
            integer(10200, 10299),
            default=10200,
            refers="device:ping",
            help="The device of each server: 1 when it uses this resource.",
        ),
        Param("grp@*/list@*/ip", "IP address", IP, required=True, help="Answers to ping while its LAN works."),
    ),
    help="In every group at least one address must answer: give each LAN that clients use a group of its own.",
)
