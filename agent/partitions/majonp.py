"""majonp: no side of a partition acts without more than half of all servers."""

from __future__ import annotations

from agent.clpconf.schema import TypeSpec

SPEC = TypeSpec(
    "majonp",
    "majority resolution",
    help="For three servers and more. The side without the majority stops its groups before the other starts them.",
)
