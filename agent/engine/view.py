"""A view, what it is made from, and what is known of one other server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from agent.engine.core import NEVER
from agent.wire.epoch import NO_EPOCH, Epoch
from agent.wire.peer import Install, Promise, Table

MANY = 8  # servers, from which on answers take their time


class View(msgspec.Struct, frozen=True):
    epoch: Epoch = NO_EPOCH
    members: tuple[str, ...] = ()
    voters: tuple[str, ...] = ()  # of whom the next view needs more than half
    coordinator: str = ""
    before: Epoch = NO_EPOCH  # the newest that may have been in force before it

    def told(self, table: Table, cause: str = "") -> Install:
        return Install(epoch=self.epoch, members=self.members, voters=self.voters, table=table, cause=cause,
                       before=self.before)  # fmt: skip


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
    excluded: dict[str, Epoch] = {}  # when it was lost: peer -> the view that it had promised, by PeerLost
    deaf: bool = False  # says that it does not hear us
    deaf_note: str = ""
    config: str = ""  # config_id of what it runs, "" when it does not tell
    vouched_until: float = 0.0  # its own proposal is newer than its heartbeats, which still say "stopped"


class Proposal(msgspec.Struct):
    epoch: Epoch
    members: tuple[str, ...]
    voters: tuple[str, ...]
    cause: str
    evidence: str  # newest when it was made
    until: float  # then who has not answered is left out
    resend_at: float
    promises: dict[str, Promise] = {}
    received: dict[str, float] = {}

    def serves(self, reachable: tuple[str, ...], can_wait: Collection[str]) -> bool:
        """Is it still right? It has these members, or these without some who wait for the next view."""
        more = set(reachable).difference(self.members)
        return more.issubset(can_wait) and set(self.members).issubset(reachable)


def newcomers(peers: Mapping[str, Peer], view: View) -> set[str]:
    """Who can wait for the next view while one is agreed on: when many servers start, each would else undo what the
    others have just agreed on. Not whoever is in a view, and would take itself for left out."""
    if len(peers) < MANY:
        return set()
    return {name for name, peer in peers.items() if peer.epoch == NO_EPOCH and name not in view.members}


def patience_s(timeout_s: float, members: Sequence[str], view: View) -> float:
    """How long a proposal waits for its members. Who starts together with many others may be slow, and before the first
    view nothing runs that would wait."""
    return timeout_s * (max(1.0, len(members) / MANY) if view.epoch == NO_EPOCH else 1.0)
