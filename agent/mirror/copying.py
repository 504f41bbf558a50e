"""The copy to a target: which grain next, what is held back meanwhile, when the bits may be cleared.

A grain is read and put on the link while nothing is being written into it, so that the link has both in the order of
the disk. Its bit is cleared when both disks have flushed after it was sent: what was read here may have been unflushed,
and would be lost by a crash of the source alone.
"""

from __future__ import annotations

from agent.mirror.writing import Writing

WINDOW = 64  # grains read at a time
BATCH = 256  # grains between two flushes of the target


class Copying:
    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self.reading: set[int] = set()  # nothing may be written there now
        self.sent: set[int] = set()  # since the newest flush of the target was asked for
        self.asked: dict[int, set[int]] = {}  # flush -> grains that it confirms
        self._half: set[int] = set()  # flushes that one of the disks has done
        self._at = 0
        self.done_grains = 0
        self.ready = False  # the target has written down what it must

    def begin(self) -> None:
        self.stop()
        self.done_grains = 0
        self.ready = False

    def stop(self) -> None:
        self.reading.clear()
        self.sent.clear()
        self.asked.clear()
        self._half.clear()
        self._at = 0

    def next(self) -> list[int]:
        """Grains to read and send now."""
        found: list[int] = []
        dirty, at, round_about = self.writing.dirty, self._at, False
        while len(self.reading) < WINDOW and len(self.sent) < BATCH:
            grain = dirty.next(at)
            if grain < 0 and not round_about:
                at, round_about = 0, True
                continue
            if grain < 0 or (round_about and grain >= self._at):
                break
            at = grain + 1
            if grain in self.reading or self.waits(grain) or self.writing.busy(grain):
                continue
            self.reading.add(grain)
            found.append(grain)
        self._at = found[-1] + 1 if found else self._at
        return found

    def waits(self, grain: int) -> bool:
        """It is on the link; the target has not confirmed it yet."""
        return grain in self.sent or any(grain in grains for grains in self.asked.values())

    def was_sent(self, grain: int) -> None:
        if grain in self.reading:
            self.reading.discard(grain)
            self.sent.add(grain)

    def overtaken(self, grains: range) -> None:
        """The own disk has newer data there that was not sent: what was sent before clears no bit."""
        self.sent.difference_update(grains)
        for asked in self.asked.values():
            asked.difference_update(grains)

    def flush_due(self) -> bool:
        return bool(self.sent) and not self.reading and (len(self.sent) >= BATCH or not self.next_is_there())

    def next_is_there(self) -> bool:
        grain = self.writing.dirty.next(0)
        while grain >= 0:
            if not self.waits(grain) and grain not in self.reading:
                return True
            grain = self.writing.dirty.next(grain + 1)
        return False

    def flush_asked(self, number: int) -> None:
        self.asked[number], self.sent = self.sent, set()

    def flush_done(self, number: int) -> None:
        """By one of the two disks. Other flushes are none of ours."""
        if number not in self.asked:
            return
        if number not in self._half:
            self._half.add(number)
            return
        self._half.discard(number)
        for grain in self.asked.pop(number, ()):
            self.writing.dirty.discard(grain)
            self.done_grains += 1

    @property
    def over(self) -> bool:
        return not (self.writing.dirty.count or self.reading or self.sent or self.asked)
