"""httpnp: a witness server has a vote; the side of a partition that reaches it in time may act."""

from __future__ import annotations

from agent.clpconf.schema import HOST, Param, TypeSpec, integer

SPEC = TypeSpec(
    "httpnp",
    "http resolution",
    params=(
        Param(
            "device",
            "Device number",
            integer(10700, 10799),
            default=10700,
            refers="device:http",
            help="The device of each server: 1 when it uses this witness, 0 when it does not.",
        ),
        Param("host", "Host of the witness", HOST, required=True, help="Name or address, outside of this cluster."),
        Param("port", "Port", integer(1, 65535), default=80, help="clpwitness listens on 29080, the manager on 29003."),
    ),
    help="A server outside of the cluster (clpwitness, or a manager) that votes and holds no groups.",
)
