"""What a process of agent/drbdd is told: the orders of agent/mirrord, and what DRBD's handlers ask."""

from __future__ import annotations

import msgspec

from agent.mirrord import orders
from agent.mirrord.orders import Op, too_late


class Fence(msgspec.Struct, frozen=True, tag_field="op", tag="fence"):
    """The kernel has lost the other side, and I/O is frozen until this is answered."""

    id: str


class Parted(msgspec.Struct, frozen=True, tag_field="op", tag="parted"):
    """The kernel has found that both sides have gone on without the other one."""

    id: str


_decoder = msgspec.json.Decoder(Op | Fence | Parted)


def order_of(data: bytes) -> Op | Fence | Parted:
    """ValueError: what is wrong, and where."""
    order: Op | Fence | Parted = _decoder.decode(data)
    return order


__all__ = ["Fence", "Parted", "order_of", "orders", "too_late"]
