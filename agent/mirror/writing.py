"""Writes on their way, and which grains of the two disks may differ because of them.

Three sets say it together; `doubtful` is their union, and what a crash of this process must not forget:
- `dirty`: the other disk lacks what stands here (it was away, or is being copied to);
- `young` and `asked`: written since the newest flush that both disks have done; either disk may lose it by a crash;
- the grains of writes on their way.
A flush that both disks have done clears what was finished here before it was asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from agent.mirror.activity import EXTENT_BYTES, ActivityLog
from agent.mirror.bits import Bits


class OnItsWay:
    __slots__ = ("extents", "grains", "here", "length", "seq", "there")

    def __init__(self, seq: int, grains: range, extents: range, length: int) -> None:
        self.seq = seq
        self.length = length
        self.grains = grains
        self.extents = extents
        self.here = False
        self.there = False


class Asked:
    """A flush: its grains are the same on both disks, for good, once both have done it."""

    __slots__ = ("grains", "here", "number", "there")

    def __init__(self, number: int, grains: set[int]) -> None:
        self.number = number
        self.grains = grains
        self.here = False
        self.there = False


class Writing:
    def __init__(self, grain_bytes: int, dirty: Bits, log: ActivityLog, saved: Bits) -> None:
        self.grain_bytes = grain_bytes
        self.grains_in_extent = EXTENT_BYTES // grain_bytes
        self.dirty = dirty
        self.saved = saved  # what the bits on disk say; at least all that has left the log
        self.log = log
        self.on_its_way: dict[int, OnItsWay] = {}
        self.young: set[int] = set()
        self.asked: deque[Asked] = deque()
        self.unconfirmed = 0  # writes that were sent, and that the other side has not said to have
        self.unconfirmed_bytes = 0

    def grains(self, offset: int, length: int) -> range:
        return range(offset // self.grain_bytes, (offset + max(length, 1) - 1) // self.grain_bytes + 1)

    def extents(self, grains: range) -> range:
        return range(grains.start // self.grains_in_extent, (grains.stop - 1) // self.grains_in_extent + 1)

    # A write -------------------------------------------------------------------------------------------------------

    def begin(self, seq: int, grains: range, length: int, *, alone: bool) -> OnItsWay:
        """Its extents are in the log on disk."""
        extents = self.extents(grains)
        self.on_its_way[seq] = write = OnItsWay(seq, grains, extents, length)
        self.log.use(extents)
        if alone:
            write.there = True
            self.dirty.update(grains)
        else:
            self.young.update(grains)
            self.unconfirmed += 1
            self.unconfirmed_bytes += length
        return write

    def confirm(self, write: OnItsWay) -> None:
        """The other side has it, or will not get it in this way."""
        if not write.there:
            write.there = True
            self.unconfirmed -= 1
            self.unconfirmed_bytes -= write.length

    def end(self, seq: int) -> OnItsWay:
        write = self.on_its_way.pop(seq)
        if not write.there:
            self.confirm(write)
        self.log.release(write.extents)
        return write

    def busy(self, grain: int) -> bool:
        """The own disk may still change there."""
        return any(not write.here and grain in write.grains for write in self.on_its_way.values())

    # Flushes ---------------------------------------------------------------------------------------------------------

    def flush_asked(self, number: int, *, alone: bool) -> None:
        going = {grain for write in self.on_its_way.values() if not write.here for grain in write.grains}
        flush = Asked(number, self.young - going)
        self.young &= going
        flush.there = alone
        self.asked.append(flush)

    def flush_done(self, number: int, *, here: bool) -> bool:
        """True when both disks have done it now."""
        for flush in self.asked:
            if flush.number == number:
                flush.here |= here
                flush.there |= not here
                break
        else:
            return False
        done = flush.here and flush.there
        while self.asked and self.asked[0].here and self.asked[0].there:
            self.asked.popleft()
        return done

    def flush_over(self, number: int) -> bool:
        """It is waited for by nobody any more."""
        return all(flush.number != number for flush in self.asked if not (flush.here and flush.there))

    # What differs --------------------------------------------------------------------------------------------------

    def doubtful(self) -> Iterator[int]:
        """Every grain in which the two disks may differ now or after a crash of either; some come twice."""
        yield from self.dirty
        yield from self.uncertain()

    def uncertain(self) -> Iterator[int]:
        yield from self.young
        for flush in self.asked:
            yield from flush.grains
        for write in self.on_its_way.values():
            yield from write.grains

    def lost_the_other(self) -> None:
        """Nothing that was on its way to the other side counts as there: it is copied later."""
        self.dirty.update(self.uncertain())
        self.young.clear()
        for flush in self.asked:
            flush.grains.clear()
            flush.there = True
        while self.asked and self.asked[0].here:
            self.asked.popleft()
        for write in self.on_its_way.values():
            self.confirm(write)

    def settled(self, extent: int) -> bool:
        """The log may forget this extent."""
        return self.judge()(extent)

    def judge(self) -> Callable[[int], bool]:
        """`settled` for many extents at this moment: what is on its way is gone through once, when it is needed."""
        per, saved = self.grains_in_extent, self.saved
        unsaved: set[int] | None = None

        def settled(extent: int) -> bool:
            nonlocal unsaved
            if unsaved is None:
                unsaved = {grain // per for grain in self.uncertain() if grain not in saved}
            if extent in unsaved:
                return False
            return all(grain in saved for grain in self.dirty_in(range(extent * per, (extent + 1) * per)))

        return settled

    def dirty_in(self, grains: range) -> Iterator[int]:
        grain = self.dirty.next(grains.start)
        while 0 <= grain < grains.stop:
            yield grain
            grain = self.dirty.next(grain + 1)
