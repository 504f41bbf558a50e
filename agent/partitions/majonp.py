"""majonp: no side of a partition acts without more than half of all servers."""

from __future__ import annotations

from agent.clpconf.schema import Param, TypeSpec, integer

SPEC = TypeSpec(
    "majonp",
    "majority resolution",
    params=(Param("priority", "Priority", integer(0, 99), default=0),),
    help="For three servers and more. The side without the majority stops its groups before the other starts them.",
)
