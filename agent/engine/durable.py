"""What of the engine's state outlives a power cut; the rest need only outlive the daemon."""

from __future__ import annotations

import msgspec

from agent.wire.peer import Ballot


class Durable(msgspec.Struct, frozen=True):
    """What outlives a power cut: everything up to the ceiling counts as promised then."""

    ceiling: int = 0
    ballots: tuple[Ballot, ...] = ()
    reboots: tuple[float, ...] = ()
