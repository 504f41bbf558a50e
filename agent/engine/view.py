"""A view, what it is made from, and what is known of one other server."""

from __future__ import annotations

import msgspec

from agent.engine.core import NEVER
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Promise


class View(msgspec.Struct, frozen=True):
    epoch: Epoch = NO_EPOCH
    members: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()  # of whom the next view needs more than half
    coordinator: str = ""


class Peer(msgspec.Struct):
    """What the heartbeats say of one other server."""

    alive: bool = False
    known: bool = False  # heard once, or lost for good: not "still unknown" any more
    lost: bool = False
    incarnation: int = 0
    epoch: Epoch = NO_EPOCH
    service: str = "online"
    suspected_at: float = NEVER  # may soon be lost: agree without it, but install nothing before it is lost
    last_heard: float = NEVER  # while it is suspected
    deaf: bool = False  # says that it does not hear us
    deaf_note: str = ""
    vouched_until: float = 0.0  # its own proposal is newer than its heartbeats, which still say "stopped"


class Proposal(msgspec.Struct):
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    cause: str
    evidence: str  # newest when it was made
    since: float
    resend_at: float
    promises: dict[str, Promise] = {}
    received: dict[str, float] = {}
