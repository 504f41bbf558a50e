"""httpnp: the side of a partition that reaches a witness server may act."""

from __future__ import annotations

from agent.clpconf.schema import TEXT, Param, TypeSpec, integer

SPEC = TypeSpec(
    "httpnp",
    "http resolution",
    params=(
        Param("priority", "Priority", integer(0, 99), default=0),
        Param("device", "Device number", integer(10700, 10799), default=10700),
        Param("host", "Host of the witness", TEXT),
        Param("port", "Port", integer(1, 65535), default=80),
    ),
    ready=False,
)
