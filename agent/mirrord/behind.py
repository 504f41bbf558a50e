"""How far the other side is behind, asynchronous: figures, and what is told when that has cost something.

Rules of this file
- Nothing is decided here; the mind has the bound (agent/mirror/traffic.py).
- The active side says once a second up to when the other one has everything (`Facts.complete_at`, by the active side's
  clock). It stands on the link behind all writes that were acknowledged before: who has read it, has those. So whoever
  follows later can say since when something may be missing, and never how much.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from agent.mirror import effects as fx
from agent.wire.mirror import size_text

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

_MOST_MARKS = 600


class Behind:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.complete_at = 0.0  # of the own disk, by the other side's clock; 0: nobody has said so
        self._marks: deque[tuple[float, int]] = deque(maxlen=_MOST_MARKS)  # when, and the newest write then

    # ---- figures ----
    def tick(self) -> None:
        if self._engine.settings.asynchronous and self._engine.side.active:
            newest = next(reversed(self._engine.side.writing.on_its_way), 0)
            if newest and (not self._marks or self._marks[-1][1] != newest):
                self._marks.append((self._engine.poller.now(), newest))

    @property
    def queued(self) -> int:
        """Writes that the other side has not confirmed."""
        return self._engine.side.writing.unconfirmed

    @property
    def queued_bytes(self) -> int:
        return self._engine.side.writing.unconfirmed_bytes

    @property
    def oldest_s(self) -> float:
        """Age of the oldest of them, to the second."""
        writing = self._engine.side.writing
        oldest = next((write.seq for write in writing.on_its_way.values() if not write.there), 0)
        while self._marks and self._marks[0][1] < oldest:
            self._marks.popleft()
        if not oldest or not self._marks:
            return 0.0
        return float(round(self._engine.poller.now() - self._marks[0][0]))

    def says(self) -> float:
        """For the other side, which has all that was acknowledged until now when it reads this."""
        engine = self._engine
        tells = engine.settings.asynchronous and engine.active and engine.side.relation in ("equal", "finishing")
        return float(int(time.time())) if tells else 0.0

    def heard(self, complete_at: float) -> None:
        if complete_at and self._engine.side.relation in ("equal", "target"):
            self.complete_at = complete_at

    # ---- what it has cost ----
    def took_over(self, _: fx.TookOver) -> None:
        engine = self._engine
        peer, since = engine.settings.peer, self.complete_at
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)) if since else "an unknown time"
        engine.note(
            "warning",
            f"Takes over from {peer}, which acknowledged writes before they were here (asynchronous mode): what it "
            f"acknowledged after {when} may be missing.",
        )
        engine.saves.put(engine.partition.noted(lacks_at=since or time.time()))

    def thrown_away(self, effect: fx.ThrownAway) -> None:
        engine = self._engine
        size = size_text(min(effect.grains * engine.grain, engine.size))
        engine.note(
            "warning",
            f"The newest writes of this server never reached {engine.settings.peer} (asynchronous mode). They "
            f"are given up; they lie within {size} that are overwritten now.",
        )

    def overrun(self, _: fx.Overrun) -> None:
        engine = self._engine
        engine.note(
            "warning",
            f"{engine.settings.peer} is too far behind: {self.queued} writes ({size_text(self.queued_bytes)}) wait for "
            "it, and the queue is full. The mirror is broken and what differs is copied.",
        )

    def is_equal(self) -> None:
        """Whatever was missing is history: both sides have the same."""
        if self._engine.partition.label.lacks_at:
            self._engine.saves.put(self._engine.partition.noted(lacks_at=0.0))
