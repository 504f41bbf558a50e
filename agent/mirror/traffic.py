"""The writes and flushes of the applications on their way through one side.

Order of one write: its extents are in the log on disk; nothing is read for the copy in its grains; it goes to the other
side, when that gets writes, and to the own disk; it is acknowledged when the disks of the present mode have it.

Asynchronous (`queue`): the own disk alone counts for what the application is told, of a write as of a flush. What was
sent and is not confirmed counts for everything else: it is bounded, its grains are in doubt, and the log on disk keeps
them. When the bound is reached the mirror is broken (`overrun`); while copying, such writes are only marked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from agent.mirror import effects as fx
from agent.mirror.bits import Bits
from agent.mirror.copying import Copying
from agent.mirror.layout import BITS_IN_BLOCK
from agent.mirror.writing import OnItsWay, Writing

MOST_YOUNG = 65_536  # grains after which we ask for a flush ourselves, so that a crash leaves little to compare


class Queue(NamedTuple):
    """Asynchronous: how much may be acknowledged that the other side has not confirmed."""

    writes: int
    size_bytes: int


class Traffic:
    """`do` puts effects out. `sends`: in the present mode the other side gets the writes as well. `skips`: it may go
    without some, as it is being copied to."""

    def __init__(self, writing: Writing, copying: Copying, do: Callable[..., None], queue: Queue | None = None) -> None:
        self.writing, self.copying, self.log = writing, copying, writing.log
        self.queue = queue
        self.overrun = False  # the next write has no room in the queue
        self._do = do
        self.waiting: deque[tuple[int, range, int]] = deque()  # number, grains, bytes
        self.held: deque[int] = deque()  # flushes that wait
        self._flushes: dict[int, int] = {}  # number of a flush on its way -> the application's, 0: our own
        self._done: list[int] = []  # finished on both disks, not told yet: the mode may forbid it
        self._number = 0
        self._settling = 0  # number of the flush, or of the bits, that is to make room in the log
        self._bits: dict[int, tuple[tuple[int, ...], Bits]] = {}

    @property
    def answered(self) -> bool:
        """Nobody waits for anything."""
        if self.waiting or self.held or self._done or any(self._flushes.values()):
            return False
        return all(self._was_answered(write) for write in self.writing.on_its_way.values())

    @property
    def idle(self) -> bool:
        return not (self.waiting or self.held or self.writing.on_its_way or any(self._flushes.values()))

    @property
    def rests(self) -> bool:
        """The next write or flush finds nothing that goes before it, and no bound."""
        return self.queue is None and self.log.rests and not (self.waiting or self.held or self._done or self._settling)

    def begin_flush(self, seq: int, *, alone: bool) -> int:
        number = self.next_number()
        self._flushes[number] = seq
        self.writing.flush_asked(number, alone=alone)
        return number

    def end_flush(self, number: int, *, here: bool) -> int | None:
        """One disk has done it. The application's, when both have, 0: our own. Synchronous only."""
        if number not in self._flushes or not self.writing.flush_done(number, here=here):
            return None
        return self._flushes.pop(number)

    def _was_answered(self, write: OnItsWay) -> bool:
        return self.queue is not None and write.here

    # ---- one step: as far as it goes in this mode ----
    def step(self, *, sends: bool, skips: bool) -> None:
        """Not called while writes have to wait."""
        self._tell()
        while self.waiting and self._go(*self.waiting[0], sends=sends, skips=skips):
            self.waiting.popleft()
        if self.overrun:
            return
        while self.held:
            self.ask_flush(self.held.popleft(), sends=sends)
        if len(self.writing.young) > MOST_YOUNG and 0 not in self._flushes.values():
            self.ask_flush(0, sends=sends)
        self._make_room(sends=sends)

    def _go(self, seq: int, grains: range, length: int, *, sends: bool, skips: bool) -> bool:
        extents = self.writing.extents(grains)
        if self.log.missing(extents):
            self.log.want(extents)
            return False
        if not self.copying.reading.isdisjoint(grains):
            return False
        if sends and self._full(length):
            if not skips:
                self.overrun = True
                return False
            sends = False
            self.copying.overtaken(grains)
        self.writing.begin(seq, grains, length, alone=not sends)
        if sends:
            self._do(fx.SendWrite(seq))
        self._do(fx.Write(seq))
        return True

    def _full(self, length: int) -> bool:
        queue, writing = self.queue, self.writing
        if queue is None or not writing.unconfirmed:
            return False
        return writing.unconfirmed >= queue.writes or writing.unconfirmed_bytes + length > queue.size_bytes

    def _make_room(self, *, sends: bool) -> None:
        extents = self.log.transaction(self.writing.judge())
        if extents is not None:
            self._do(fx.Log(extents))
        elif self.log.short and not self._settling:
            # Nothing in the log is settled: flush what is young, or put the bits of what differs on disk.
            # Asynchronous nobody waits for the flush of the other side.
            if sends and self.queue is None:
                self._settling = self.ask_flush(0, sends=sends)
            else:
                self._settling = self.save_bits(self.writing.doubtful())

    # ---- flushes ----
    def ask_flush(self, seq: int, *, sends: bool) -> int:
        number = self.begin_flush(seq, alone=not sends)
        if sends:
            self._do(fx.Send(fx.FlushAsked(number)))
        self._do(fx.Flush(number))
        return number

    def next_number(self) -> int:
        """Of flushes, and of bits that are saved."""
        self._number += 1
        return self._number

    def flushed(self, number: int, *, here: bool) -> None:
        if number not in self._flushes:
            return
        both = self.writing.flush_done(number, here=here)
        if here and self.queue is not None:
            self._done.append(self._flushes[number])
            self._flushes[number] = 0
        if not both:
            return
        self._done.append(self._flushes.pop(number))
        if number == self._settling:
            self._settling = 0

    # ---- writes ----
    def written(self, seq: int, *, here: bool) -> None:
        write = self.writing.on_its_way.get(seq)
        if write is None:
            return
        answered = self._was_answered(write)
        if here:
            write.here = True
        else:
            self.writing.confirm(write)
        if write.here and not answered and (write.there or self.queue is not None):
            self._done.append(seq)
        if write.here and write.there:
            self.writing.end(seq)

    def lost_the_other(self) -> None:
        self.overrun = False
        self.writing.lost_the_other()
        for number in list(self._flushes):
            if self.writing.flush_over(number):
                self._done.append(self._flushes.pop(number))
                self._settling = 0 if number == self._settling else self._settling
        for seq, write in list(self.writing.on_its_way.items()):
            if write.here:
                if not self._was_answered(write):
                    self._done.append(seq)
                self.writing.end(seq)

    def _tell(self) -> None:
        self._do(*(fx.Ack(seq) for seq in self._done if seq))
        self._done.clear()

    def fail(self) -> None:
        """Nothing that waits or is on its way will be acknowledged. What was written may be on either disk."""
        seqs = [seq for seq, *_ in self.waiting] + list(self.held) + self._done
        seqs += [write.seq for write in self.writing.on_its_way.values() if not self._was_answered(write)]
        seqs += self._flushes.values()
        for seq in list(self.writing.on_its_way):
            self.writing.dirty.update(self.writing.end(seq).grains)
        self._do(*(fx.Fail(seq) for seq in seqs if seq))
        self.waiting.clear()
        self.held.clear()
        self._done.clear()
        self._flushes = dict.fromkeys(self._flushes, 0)

    # ---- bits on disk ----
    def save_bits(self, grains: Iterable[int]) -> int:
        """Puts the blocks with these grains on disk as they are in doubt now."""
        blocks = tuple(sorted({grain // BITS_IN_BLOCK for grain in grains}))
        bits = Bits(self.writing.dirty.size)
        bits.update(self.writing.doubtful())
        number = self.next_number()
        self._bits[number] = (blocks, bits)
        self._do(fx.SaveBits(number, blocks))
        return number

    def save_all_bits(self) -> int:
        return self.save_bits(range(0, self.writing.dirty.size, BITS_IN_BLOCK))

    def bits_to_save(self, number: int) -> Bits:
        return self._bits[number][1]

    def bits_saved(self, number: int) -> None:
        blocks, bits = self._bits.pop(number)
        for block in blocks:
            self.writing.saved.take(bits, block * BITS_IN_BLOCK, BITS_IN_BLOCK)
        if number == self._settling:
            self._settling = 0
