"""How far this server mistrusts its own ears: the time by which it suspects others later.

Rules of this file
- Time in which we could not judge, or could not send on any LAN, may explain why we hear nobody: thresholds for others
  grow by it. Several such times add up, at most to one timeout.
- Mistrust holds for one timeout after its newest reason, then it goes back as fast as time passes.
- A daemon that is late does not touch our ears. It tells that the machine is short of time, and the kernel's own
  threads, which carry the packets, may be so, too: a late daemon counts from half a timeout on, and no more than a
  quarter of the timeout.
- After a stall longer than the timeout everything begins anew (detector.py); there is nothing left to mistrust.
- Only the suspicion of others is lengthened, never the lease: the others go on counting.

No clock; standard library only: the heartbeat child and the simulator run it.
"""

from __future__ import annotations

_MOST = 1.0  # of the timeout
_OTHERS = 0.25  # of the timeout: what a late daemon can add
_WORTH_TELLING = 0.25  # of the timeout
_LONG_AGO = float("-inf")


class Health:
    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._level_s = 0.0
        self._holds_until = _LONG_AGO
        self._told_until = _LONG_AGO
        self._counted_s = 0.0  # and not told yet

    def extra_s(self, now: float) -> float:
        """What the thresholds for others are longer by."""
        if now <= self._holds_until:
            return self._level_s
        return max(0.0, self._level_s - (now - self._holds_until))

    def late(self, now: float, seconds: float) -> None:
        """We judged that much too late, or could not send for so long."""
        self._mistrust(now, seconds, _MOST)

    def daemon_late(self, now: float, seconds: float) -> None:
        if seconds > self._timeout_s / 2:
            self._mistrust(now, seconds, _OTHERS)

    def _mistrust(self, now: float, seconds: float, most: float) -> None:
        level = self.extra_s(now)
        limit = most * self._timeout_s
        if level < limit:
            level = min(level + seconds, limit)
        self._level_s = level
        self._holds_until = now + self._timeout_s
        self._counted_s += seconds

    def forget(self) -> None:
        self._level_s = self._counted_s = 0.0
        self._holds_until = _LONG_AGO

    def to_tell(self, now: float) -> float:
        """The delays since the last word about them, when they are worth a new one; else 0.0."""
        if self.extra_s(now) < _WORTH_TELLING * self._timeout_s or now < self._told_until:
            return 0.0
        self._told_until = self._holds_until
        counted, self._counted_s = self._counted_s, 0.0
        return counted
