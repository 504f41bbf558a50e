"""pingnp: the side of a partition that reaches a router may act."""

from __future__ import annotations

from agent.clpconf.schema import IP, Param, TypeSpec, integer

SPEC = TypeSpec(
    "pingnp",
    "ping resolution",
    params=(
        Param("priority", "Priority", integer(0, 99), default=0),
        Param("device", "Device number", integer(10200, 10299), default=10200),
        Param("grp@*/list@*/ip", "IP address", IP, required=True, help="Answers to ping while its LAN works."),
    ),
    ready=False,
)
