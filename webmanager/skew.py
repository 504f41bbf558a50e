"""How far an agent's clock is ahead of the manager's, by the times in its frames.

Rules of this file
- A frame says when it was written; on its way it only grows older. So the frame that seems the newest tells best, and
  a delay makes a clock look slow, never fast.
- A clock that seems slow is believed to be so when several frames say it; a fast one at once.
- What is smaller than a network's delay is none: events of clocks that agree keep their own times to the microsecond.
"""

from __future__ import annotations

SEEN_S = 0.5  # Less is left as it is.
SLOW_S = 10.0  # So much behind is believed of the first frame.
SURE = 5  # frames
_WINDOW_S = 30.0
_KEPT_S = 0.25  # What is taken off sinks only by more than this.


class Skew:
    """Of one connection of an agent."""

    def __init__(self) -> None:
        self.ahead_s = 0.0  # what is taken off
        self._frames = 0
        self._best = self._before = float("-inf")  # of this window and of the one before
        self._since = 0.0

    def heard(self, ahead_s: float, now: float) -> None:
        """A frame whose time is ahead of the manager's clock by so much."""
        if not self._frames:
            self._since = now
        elif now - self._since > _WINDOW_S:
            self._before, self._best, self._since = self._best, float("-inf"), now
        self._frames += 1
        self._best = max(self._best, ahead_s)
        self._judge(max(self._best, self._before))

    def _judge(self, measured_s: float) -> None:
        least_s = -SEEN_S if self._frames >= SURE else -SLOW_S
        wrong_s = 0.0 if least_s < measured_s < SEEN_S else measured_s
        # A higher one is nearer to the truth; a lower one may be a window in which every frame was late.
        if not wrong_s or wrong_s > self.ahead_s or self.ahead_s - wrong_s > _KEPT_S:
            self.ahead_s = round(wrong_s, 2)
