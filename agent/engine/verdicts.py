"""What a failure detector concludes: who lives, who is lost, whether our lease holds. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from agent.wire.epoch import Epoch


class PeerHeard(NamedTuple):
    server: str
    incarnation: int
    epoch: Epoch
    service: str
    config: str = ""  # config_id of what it runs, "" when it does not tell


class PeerLost(NamedTuple):
    server: str
    silence_s: float
    # (another peer, the view that it had promised when it said that it, too, has not heard the server for the timeout)
    promised: tuple[tuple[str, Epoch], ...] = ()


class PeerSuspected(NamedTuple):
    """It will be lost in a moment unless it is heard (then PeerHeard follows)."""

    server: str
    silence_s: float


class PathChanged(NamedTuple):
    server: str
    heartbeat: str
    ok: bool
    worst_gap_ms: float


class DeafPeer(NamedTuple):
    server: str
    silence_s: float


class LeaseLost(NamedTuple):
    silence_s: float


class LeaseHeld(NamedTuple):
    pass


class Stalled(NamedTuple):
    gap_s: float


class Starved(NamedTuple):
    """We were late by that much: whom we do not hear is given `extra_s` more."""

    late_s: float
    extra_s: float


class SelfFence(NamedTuple):
    """The lease was lost so long ago that others may soon start what we hold."""

    silence_s: float


Verdict = (
    PeerHeard | PeerLost | PeerSuspected | PathChanged | DeafPeer
    | LeaseLost | LeaseHeld | Stalled | Starved | SelfFence
)  # fmt: skip
