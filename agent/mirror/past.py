"""What a side knows of its data, durably, and what follows when two sides meet."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.wire.epoch import NO_EPOCH, Epoch

KEPT = 24  # generations of the past; whoever is further behind gets everything
Scope = Literal["nothing", "marked", "all"]


class Past(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The superblock. A generation is a name drawn when somebody goes on alone; "" before the first construction."""

    current: str = ""
    history: tuple[str, ...] = ()  # newest first, without current
    # Where the other side may stand so that our marked grains are all in which it differs; empty: nobody knows.
    peer_at: tuple[str, ...] = ()
    peer: Literal["equal", "behind"] = (
        "equal"  # equal: it may have all that we have, nothing is acknowledged without it
    )
    whole: bool = True  # the disk is the state of one point in time
    outdated: bool = False  # the other side has gone on without us
    active: bool = False  # activated, and not closed in good order since: the logged extents count
    discards: bool = False  # the operator has given this side's own changes up
    epoch: Epoch = NO_EPOCH  # the newest activation known here; nothing older is obeyed
    boot: str = ""  # of this machine, when both sides were equal last: since then it has lost no unflushed write
    # The other side may lack more than unflushed writes: it gets them later (asynchronous), or was found to differ.
    ahead: bool = False

    def knows(self, generation: str) -> bool:
        return generation == self.current or generation in self.history

    def doubted(self, *, failed: bool) -> Past:
        """Unflushed writes may be gone from this disk. `failed`: some are; then it is no whole copy from now on, unless
        nobody else has its data."""
        return msgspec.structs.replace(self, boot="", whole=self.whole and (not failed or self.peer == "behind"))

    def alone(self, generation: str, epoch: Epoch) -> Past:
        """The next generation: what is written from now on, the other side does not have."""
        if self.peer == "behind":
            return msgspec.structs.replace(self, active=True, epoch=max(epoch, self.epoch))
        return msgspec.structs.replace(
            self,
            current=generation,
            history=(self.current, *self.history)[:KEPT],
            peer_at=tuple(dict.fromkeys((*self.peer_at, self.current)))[-KEPT:],
            peer="behind",
            active=True,
            epoch=max(epoch, self.epoch),
        )


class Hello(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The first word of each side on a connection."""

    server: str
    past: Past
    intact: bool = False  # its machine has run without a break since both sides were equal last
    active: bool = False  # it serves now
    open: bool = False  # it was active and has not been closed in good order: `ranges` of its disk may differ
    ranges: tuple[tuple[int, int], ...] = ()  # first grain and the one after the last; only of an open side


class Meeting(msgspec.Struct, frozen=True):
    """What one side does. `why` is a sentence for the operator."""

    role: Literal["equal", "source", "target", "diverged", "unrelated", "broken", "new", "stands down"]
    scope: Scope = "nothing"
    why: str = ""
    repair: bool = False  # equal generations: the target stays whole while it is copied to


def meet(mine: Hello, theirs: Hello) -> Meeting:
    """Both sides come to the same, each from its own place (tests hold the two against each other)."""
    a, b = mine.past, theirs.past
    if mine.active and a.epoch < b.epoch:
        return Meeting("stands down", why=f"{theirs.server} was activated after {mine.server}.")
    if theirs.active and (b.epoch < a.epoch or mine.active):
        return Meeting("diverged", why=f"{theirs.server} has to stand down: {mine.server} was activated after it.")
    if not a.current or not b.current:
        return _first(mine, theirs)
    if a.discards != b.discards:
        return _given_up(mine, theirs)
    if a.current == b.current:
        return _same(mine, theirs)
    if a.knows(b.current) and not b.knows(a.current):
        return _newer(mine, theirs)
    if b.knows(a.current) and not a.knows(b.current):
        return _turned(_newer(theirs, mine))
    if set(a.history) & set(b.history):
        return Meeting("diverged", why="Both servers have gone on without the other one.")
    return Meeting("unrelated", why="The two disks have no common past.")


def _turned(meeting: Meeting) -> Meeting:
    role = {"source": "target", "target": "source"}.get(meeting.role, meeting.role)
    return msgspec.structs.replace(meeting, role=role)


def _first(mine: Hello, theirs: Hello) -> Meeting:
    if mine.past.current:
        return _newer(mine, theirs)
    if theirs.past.current:
        return _turned(_newer(theirs, mine))
    return Meeting("new", why="Neither server has data yet.")


def _given_up(mine: Hello, theirs: Hello) -> Meeting:
    loser, winner = (mine, theirs) if mine.past.discards else (theirs, mine)
    if not winner.past.whole:
        return Meeting(
            "broken", why=f"The disk of {winner.server} is no whole copy, and {loser.server} gives its own up."
        )
    why = f"The changes of {loser.server} alone were given up by the operator."
    return Meeting("target" if loser is mine else "source", "all", why)


def _newer(newer: Hello, older: Hello) -> Meeting:
    """From the place of the newer side."""
    if not newer.past.whole:
        return Meeting("broken", why=f"The disk of {newer.server} is newer, but no whole copy.")
    scope: Scope = "marked" if older.past.current in newer.past.peer_at else "all"
    why = (
        f"{newer.server} has gone on without {older.server}." if older.past.current else f"{older.server} has no data."
    )
    return Meeting("source", scope, why)


def _same(mine: Hello, theirs: Hello) -> Meeting:
    a, b = mine.past, theirs.past
    if a.whole != b.whole:
        newer, older = (mine, theirs) if a.whole else (theirs, mine)
        meeting = Meeting("source", "marked", f"The disk of {older.server} is no whole copy.")
        return meeting if newer is mine else _turned(meeting)
    if not a.whole:
        return Meeting("broken", why="Neither disk is a whole copy.")
    # Nobody has gone on alone, whatever was asked of whom: `outdated` was not made use of.
    giver = _giver(mine, theirs)
    if giver is None:
        return Meeting("equal")
    taker = theirs if giver is mine else mine
    why = f"{taker.server} may have lost its last writes, or has some that nobody acknowledged."
    # What is flushed on one side only is no such write: on its way to the other version a disk is of no one time.
    repair = not (a.ahead or b.ahead)
    if not repair:
        why = f"{taker.server} does not have the last writes of {giver.server}."
    return Meeting("source" if giver is mine else "target", "marked", why, repair=repair)


def _giver(mine: Hello, theirs: Hello) -> Hello | None:
    """Whose version of the last writes counts. None: they are the same."""
    for one, other in ((mine, theirs), (theirs, mine)):
        # Who lost its power may have lost what it had not flushed; the other one has all of it, unless it is behind.
        if one.open and not one.intact and other.intact and not one.past.ahead:
            return other
    doubtful = [one for one in (mine, theirs) if one.active or one.open or one.past.outdated or one.past.ahead]
    if not doubtful:
        return None
    return max((mine, theirs), key=_claim)


def _claim(one: Hello) -> tuple[bool, bool, bool, Epoch, str]:
    return one.active, one.open, one.past.ahead, one.past.epoch, one.server
