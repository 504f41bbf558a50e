"""What a side wants done. The hands carry each out and say when it is done; on the link their order is kept."""

from __future__ import annotations

import msgspec

from agent.mirror.past import Past


class _Effect(msgspec.Struct, frozen=True):
    pass


# To the own disks -------------------------------------------------------------------------------------------------


class Save(_Effect, frozen=True):
    """The superblock, on stable storage; then `Side.saved(number)`."""

    number: int
    past: Past


class Log(_Effect, frozen=True):
    """The activity log, on stable storage; then `Side.logged()`."""

    extents: tuple[int, ...]


class SaveBits(_Effect, frozen=True):
    """These blocks of bits as `Writing.doubtful` has them now, on stable storage; then `Side.bits_saved(number)`."""

    number: int
    blocks: tuple[int, ...]


class Write(_Effect, frozen=True):
    """A write of the application to the own data disk; then `Side.written(seq)`."""

    seq: int


class Flush(_Effect, frozen=True):
    """Everything that was written to the own data disk until now; then `Side.flushed(number)`."""

    number: int


# To the application -----------------------------------------------------------------------------------------------


class Ack(_Effect, frozen=True):
    seq: int


class Fail(_Effect, frozen=True):
    seq: int


# To the other side, in this order on the link ------------------------------------------------------------------------


class SendWrite(_Effect, frozen=True):
    """The data of a write with our epoch. The other side applies it, or refuses it."""

    seq: int


class SendGrain(_Effect, frozen=True):
    """Read the grain from the own data disk, send it, then `Side.grain_sent(grain)`; nobody writes there meanwhile."""

    grain: int


class Send(_Effect, frozen=True):
    """One of the words below."""

    word: Word


class Reconnect(_Effect, frozen=True):
    """Drop the link and say hello anew: what was said on it does not hold any more."""


# By way of the cluster, not of the link -----------------------------------------------------------------------------


class AskOutdated(_Effect, frozen=True):
    """Have the other side write down that it is outdated; then `Side.outdated_there(generation)`."""

    generation: str


class Told(_Effect, frozen=True):
    """The answer to such a question: it is on disk."""

    generation: str


# To the agent -------------------------------------------------------------------------------------------------------


class Activated(_Effect, frozen=True):
    pass


class Deactivated(_Effect, frozen=True):
    pass


class Refused(_Effect, frozen=True):
    """An activation is not safe now; `why` for the operator."""

    why: str


class StoodDown(_Effect, frozen=True):
    """This side was active and is not any more: the other one was activated after it, or its disk has failed."""

    why: str


class TookOver(_Effect, frozen=True):
    """Activated after an active side that is gone: what that one acknowledged last, and had not sent, is missing."""


class ThrownAway(_Effect, frozen=True):
    """The other side has taken over meanwhile. Writes in these grains, which it never got, are given up."""

    grains: int


class Overrun(_Effect, frozen=True):
    """More writes than the queue takes wait for the other side: the mirror is broken, and copied anew."""


# Words ----------------------------------------------------------------------------------------------------------------


class FlushAsked(msgspec.Struct, frozen=True, tag=True):
    number: int


class FlushDone(msgspec.Struct, frozen=True, tag=True):
    number: int


class Written(msgspec.Struct, frozen=True, tag=True):
    seq: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Of a target: it has written down that its disk is no whole copy; copying may begin."""


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Of a source: with what came before this word the target has all; it is of this generation."""

    current: str
    history: tuple[str, ...]


class Finished(msgspec.Struct, frozen=True, tag=True):
    current: str


class Serving(msgspec.Struct, frozen=True, tag=True):
    """This side is active from now on, or not any more. `ahead`: it acknowledges before the other side has a write.
    Who stops in good order has sent all of them before this word."""

    active: bool
    ahead: bool = False


class GaveUp(msgspec.Struct, frozen=True, tag=True):
    """The disk of this side has failed: nothing more will come from it."""


class TooOld(msgspec.Struct, frozen=True, tag=True):
    """A write of an older activation was not taken."""


Word = FlushAsked | FlushDone | Written | Ready | Finish | Finished | Serving | TooOld | GaveUp
Effect = (
    Save | Log | SaveBits | Write | Flush | Ack | Fail | SendWrite | SendGrain | Send | Reconnect | AskOutdated | Told
    | Activated | Deactivated | Refused | StoodDown | TookOver | ThrownAway | Overrun
)  # fmt: skip
