"""Grains on their way to a target: read, sent, no faster than allowed, and out of the way of the applications.

Rules of this file
- A grain that the mind wants sent is held back here for the pace, or while enough waits for the link already. A write
  that waits for such a grain has it sent at once: the applications never wait for the pace.
- While applications write, little is on its way to the target's disk, since their next write stands behind it: the
  buffers of the network alone would delay it by tenths of a second. The target says of each grain when it has it.
  Then the copy rests for as long as that took, so that half of the time is theirs.
- The target may have a slow disk: no more is sent than two flushes of it are behind.
- What was asked for on an earlier connection is dropped (`stop`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from agent.mirrord.poller import Timer

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

WINDOW = 8 << 20  # bytes on their way to the target's disk
WINDOW_BUSY = 64 << 10  # while applications write
BUSY_S = 0.05  # after a write they count as writing
READS = 6  # grains that threads read at a time
WINDOW_S = 5.0  # over which the rate is measured
MOST_FLUSHES = 2  # of the target, on their way
LONGEST_REST_S = 0.05
_SOON_S = 0.01  # nothing else may wake us


class Copier:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.held: deque[int] = deque()
        self._reading = 0
        self._number = 0
        self._going: dict[int, tuple[int, float]] = {}  # sent and not taken yet: number -> bytes, when
        self._going_bytes = 0
        self._timer: Timer | None = None
        self._rests_until = 0.0
        self._sending = False  # what is wanted meanwhile is looked at in the end
        self._may_go = False
        self._allowed = 0.0  # bytes; below zero: in debt
        self._at = 0.0
        self.busy_s = BUSY_S
        self.pace = 0  # bytes a second, 0: as fast as it goes
        self.begun = 0.0
        self._connection = -1
        self.total = 0  # bytes that were to be copied at the beginning
        self.sent_bytes = 0
        self._marks: deque[tuple[float, int]] = deque()

    def _begin(self) -> None:
        """The first grain of a connection."""
        self.begun = self._engine.poller.now()
        self.sent_bytes = 0
        self.total = self._engine.dirty_bytes
        self._marks.clear()

    def stop(self) -> None:
        self.held.clear()
        self._going.clear()
        self._going_bytes = 0

    def taken(self, number: int) -> None:
        """The target has written this one."""
        length, at = self._going.pop(number, (0, 0.0))
        self._going_bytes -= length
        now = self._engine.poller.now()
        if at and now - self._engine.last_write < self.busy_s:
            self._rests_until = now + min(now - at, LONGEST_REST_S)
        self._wake()

    def _wake(self) -> None:
        """There is room for more, perhaps."""
        if self.held and not self._may_go:
            self._may_go = True
            self._engine.poller.at_end(self._go_on)

    def _go_on(self) -> None:
        self._may_go = False
        if self._timer is not None:
            self._timer.cancel()
        self._go()

    def want(self, grain: int) -> None:
        if self._connection != self._engine.peer.connection:
            self._connection = self._engine.peer.connection
            self._begin()
        self.held.append(grain)
        if self._timer is None and not self._sending:
            self._timer = self._engine.poller.after(0.0, self._go)

    def set_pace(self, bytes_s: int) -> None:
        self.pace = bytes_s
        self._allowed = 0.0
        self._at = self._engine.poller.now()

    # ---- what may go now ----
    def _go(self) -> None:
        self._timer, self._sending = None, True
        engine = self._engine
        busy = engine.poller.now() - engine.last_write < self.busy_s
        most = WINDOW_BUSY if busy else WINDOW
        turn = 1 if busy else 16
        while self.held and self._reading < READS and turn and self._room(most) and self._may():
            turn -= 1
            self._send(self.held.popleft())
        self._sending = False
        if self.held:
            self._timer = engine.poller.after(self._wait(most), self._go)

    def _room(self, most: int) -> bool:
        if self._rests_until > self._engine.poller.now():
            return False
        return self._going_bytes < most and len(self._engine.side.copying.asked) < MOST_FLUSHES

    def _wait(self, most: int) -> float:
        if self.pace and self._allowed < 0:
            return min(-self._allowed / self.pace, 0.25)
        rest_s = self._rests_until - self._engine.poller.now()
        if rest_s > 0:
            return rest_s
        return 0.0 if self._room(most) and self._reading < READS else _SOON_S

    def _may(self) -> bool:
        if not self.pace:
            return True
        now = self._engine.poller.now()
        self._allowed = min(self._allowed + (now - self._at) * self.pace, self.pace * 0.25)
        self._at = now
        return self._allowed >= 0

    def hurry(self, grains: range) -> None:
        """A write of the application waits for these."""
        for grain in grains:
            if grain in self.held:
                self.held.remove(grain)
                self._send(grain)

    # ---- one grain ----
    def _send(self, grain: int) -> None:
        engine = self._engine
        offset = grain * engine.grain
        length = min(engine.grain, engine.size - offset)
        connection = engine.peer.connection
        room = bytearray(length)
        waited = False  # for the disk
        self._allowed -= length
        self._reading += 1

        def done(error: OSError | None) -> None:
            self._reading -= 1
            if waited:
                self._wake()
            if connection != engine.peer.connection:
                return
            if error is not None:
                engine.copy_failed(offset, error)
                return
            self._number += 1
            self._going[self._number] = (length, engine.poller.now())
            self._going_bytes += length
            engine.peer.send_grain(self._number, engine.side.epoch, offset, room)
            self._count(length)
            engine.carry_out(engine.side.grain_sent(grain))

        engine.disk.read(memoryview(room), offset, done)
        waited = True

    def _count(self, length: int) -> None:
        now = self._engine.poller.now()
        self.sent_bytes += length
        marks = self._marks
        if not marks or now - marks[-1][0] > WINDOW_S / 20:
            marks.append((now, self.sent_bytes))
        while marks and now - marks[0][0] > WINDOW_S:
            marks.popleft()

    @property
    def rate(self) -> float:
        """Bytes a second, lately."""
        now = self._engine.poller.now()
        marks = [mark for mark in self._marks if now - mark[0] <= WINDOW_S]
        if not marks:
            return 0.0
        since, count = marks[0]
        elapsed = now - since
        if elapsed < 0.2:
            since, count = self.begun, 0
            elapsed = max(now - since, 1e-3)
        return (self.sent_bytes - count) / elapsed
