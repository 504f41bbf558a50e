"""The number of a view: totally ordered, never reused, unique to the server that proposed it."""

from __future__ import annotations

from typing import NamedTuple


class Epoch(NamedTuple):
    """Ordered by counter, then by the index of the proposing server (its place in the priority order)."""

    counter: int
    proposer: int

    def __str__(self) -> str:
        return f"{self.counter}.{self.proposer}"


NO_EPOCH = Epoch(0, 0)
