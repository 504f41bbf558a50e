"""What DRBD's words mean to the cluster: relation, mode, colours, why a side may not be active. Pure.

Rules of this file
- `Known` is what DRBD does not know: the orders of the cluster, and what this process has seen itself.
- A disk that is UpToDate and not connected was equal once. Whether it still is only who has watched can know: this
  process saw both equal, and its server has belonged to every view since (`Known.in_sync`). DRBD's own word that the
  other one is behind holds for ever.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from agent.drbdd.words import Seen
from agent.wire.epoch import Epoch

_NO_DISK = ("Diskless", "Failed")

Act = Literal["wait", "ask", "promote", "promote apart", "part", "refuse"]


class Known(NamedTuple):
    server: str
    peer: str
    active: bool = False
    epoch: Epoch = Epoch(0, 0)  # the newest activation known here
    in_sync: bool = False
    isolated: bool = False
    parted: str = ""  # why both cannot be joined by themselves
    permitted: bool = False  # the other side is outdated, or has certainly stopped


class Wanted(NamedTuple):
    """An order to be active."""

    epoch: Epoch
    alone: bool = False
    force: bool = False


def relation_of(seen: Seen, known: Known) -> str:
    if seen.connected:
        if not seen.generations.constructed and seen.disk == seen.peer_disk == "Inconsistent":
            return "foreign"
        if seen.is_source:
            return "source"
        if seen.is_target:
            return "target"
        return "equal" if seen.equal else "apart"
    return "foreign" if known.parted else "apart"


def mode_of(seen: Seen, known: Known) -> str:
    if not known.active:
        return "off"
    if seen.frozen:
        return "stalled"
    if seen.equal:
        return "mirrored"
    return "copying" if seen.is_source or seen.is_target else "alone"


def doubt_of(seen: Seen, known: Known) -> str:
    """Why this side must not follow without the other one; empty: it may."""
    if not seen.generations.constructed:
        return "The mirror was not constructed yet."
    if known.parted:
        return known.parted
    if seen.disk == "Inconsistent":
        return f"The disk of {known.server} is no whole copy: it was being copied to."
    if seen.disk == "Outdated":
        return f"{known.peer} has gone on without {known.server}; its data is newer."
    if seen.disk not in ("UpToDate", "Consistent"):
        return f"DRBD on {known.server} has no disk to use: it is {seen.disk}."
    if seen.peer_is_behind and seen.disk == "UpToDate":
        return ""
    if not known.in_sync:
        return f"{known.server} cannot know whether {known.peer} has gone on without it."
    return ""


def color_of(seen: Seen, known: Known) -> str:
    """As agent/mirrord/status.py says them."""
    if not seen.generations.constructed:
        return "GRAY"
    relation = relation_of(seen, known)
    if relation == "target":
        return "YELLOW"
    if known.active or relation in ("equal", "source"):
        return "GREEN" if seen.disk == "UpToDate" else "RED"
    if relation == "foreign" or seen.disk in ("Outdated", "Inconsistent", "Diskless", "Failed"):
        return "RED"
    return "GRAY" if doubt_of(seen, known) else "GREEN"


def peer_color_of(seen: Seen, known: Known) -> str:
    relation = relation_of(seen, known)
    if relation in ("equal", "target"):
        return "GREEN"
    if relation == "source":
        return "YELLOW"
    if seen.peer_is_behind or (seen.connected and seen.peer_disk in _NO_DISK):
        return "RED"
    return "GRAY"


def act_of(wanted: Wanted, seen: Seen, known: Known) -> tuple[Act, str]:
    """What the order comes to now, and why."""
    if wanted.epoch < known.epoch:
        return "refuse", "A newer activation is known here."
    if wanted.force:
        return "promote apart", ""
    if wanted.alone and seen.connection not in ("StandAlone", "Connecting"):
        # Nothing of a server that the cluster goes on without is taken from now on.
        return "part", ""
    if seen.agreeing or seen.connected:
        return _act_together(seen, known)
    why = doubt_of(seen, known)
    if why:
        return ("refuse" if wanted.alone else "wait"), why
    if wanted.alone or known.permitted or seen.peer_is_behind:
        return "promote apart", ""
    return "ask", f"{known.peer} has to say first that it is outdated."


def _act_together(seen: Seen, known: Known) -> tuple[Act, str]:
    relation, agreeing = (
        relation_of(seen, known),
        f"{known.server} and {known.peer} are just finding out what they have.",
    )
    if seen.agreeing:
        return "wait", agreeing
    if relation == "target":
        return "wait", f"{known.peer} has the newer data."
    if seen.peer_role == "Primary":
        return "wait", f"It is active on {known.peer}."
    if relation in ("equal", "source"):
        return "promote", ""
    why = doubt_of(seen, known)
    if not why and seen.disk == "UpToDate" and seen.peer_disk in _NO_DISK:
        return "promote", ""  # The other one serves no disk, and ours has everything.
    return "wait", why or agreeing
