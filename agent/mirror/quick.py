"""The short way of writes and flushes while nothing else is going on: what the general step would say, without it.

Rules of this file
- A side is at rest (`Side._rests`) when it is active, both disks are the same and known to be, and nothing waits: no
  order, hello, save, end of an activation, held write or transaction of the log. The general step would then do nothing
  but say what becomes of this very write or flush. `tests/agent/mirror/test_quick.py` holds both to each other.
- Whatever is not so, or asks for more (an extent that is not in the log, a flush for what is young), goes the general
  way: the method says so before it has changed anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent.mirror.traffic import MOST_YOUNG

if TYPE_CHECKING:
    from agent.mirror.side import Side
    from agent.mirror.writing import OnItsWay

GENERAL: Final = -1  # ask the side itself


class Quick:
    """Of one side, and as long as that."""

    __slots__ = ("_grain_bytes", "_log", "_on_its_way", "_per", "_side", "_traffic", "_writing")

    def __init__(self, side: Side) -> None:
        self._side, self._traffic, self._log, self._writing = side, side.traffic, side.log, side.writing
        self._grain_bytes, self._per = side.writing.grain_bytes, side.writing.grains_in_extent
        self._on_its_way = side.writing.on_its_way

    def write(self, seq: int, offset: int, length: int) -> OnItsWay | None:
        """The write: `SendWrite(seq)`, then `Write(seq)`. None: ask the side itself. Whoever carries both out at once
        may set its `here` instead of saying `written`, as long as it is not `there`: nothing follows from that."""
        writing, grain_bytes, per = self._writing, self._grain_bytes, self._per
        first, stop = offset // grain_bytes, (offset + length - 1) // grain_bytes + 1
        extent = first // per
        if (
            not self._side.at_rest
            or extent not in self._log.durable
            or (stop - 1) // per != extent
            or stop <= first
            or len(writing.young) + stop - first > MOST_YOUNG
        ):
            return None
        return writing.begin(seq, range(first, stop), length, alone=False)

    def written(self, seq: int, here: bool) -> int:
        """The number to acknowledge, 0: none yet. GENERAL: ask the side itself."""
        if not self._side.at_rest:
            return GENERAL
        write = self._on_its_way.get(seq)
        if write is None:
            return 0
        if here:
            write.here = True
            if not write.there:
                return 0
        else:
            self._writing.confirm(write)
            if not write.here:
                return 0
        self._writing.end(seq)
        return seq

    def flush(self, seq: int) -> int:
        """N: `Send(FlushAsked(N))`, then `Flush(N)`. GENERAL: ask the side itself."""
        return self._traffic.begin_flush(seq, alone=False) if self._side.at_rest else GENERAL

    def flushed(self, number: int, *, here: bool) -> int:
        """The number of the application's flush to acknowledge, 0: none yet. GENERAL: ask the side itself."""
        return self._traffic.end_flush(number, here=here) or 0 if self._side.at_rest else GENERAL
