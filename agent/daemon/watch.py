"""When is a daemon dead, and when is it dead for good: the watchdog rule, without clock or process.

The rules
- A daemon that has petted once and then is silent for half the grace time hangs: it is killed and started anew.
- It is well again when it has petted and lived for a moment after that.
- When it is not well again within the grace time, its groups are released: stopped by the emergency stopper. Before
  that only the heartbeats stand for this server, and nothing moves.
- A daemon that wanted to run and got no CPU does not hang (`excuse`): under full load nothing may fail over.
"""

from __future__ import annotations

from typing import Literal

Step = Literal["", "start", "kill", "release"]

STARTUP_S = 30.0  # for the very first pet of this service
RETRY_MAX_S = 10.0
_EXCUSES = 10  # times the grace time: an endless loop under load looks like starving, too


class Watch:
    def __init__(self, grace_s: float, now: float) -> None:
        self._grace_s = grace_s
        self._settle_s = min(1.0, grace_s / 4)
        self._running = False
        self._petted_at: float | None = None  # by the daemon that runs now
        self._well_after = now
        self._quiet_since = now
        self._trouble_since: float | None = now  # when it was last well
        self._limit_s = max(grace_s, STARTUP_S)
        self._excused_s = 0.0
        self._attempts = 0
        self._start_at = now
        self.released = False
        self.ever_well = False

    def started(self, now: float) -> None:
        self._running = True
        self._petted_at = None
        self._quiet_since = now
        self._attempts += 1

    def petted(self, now: float) -> None:
        if self._petted_at is None:
            self._well_after = now + self._settle_s
        self._petted_at = self._quiet_since = now
        if now >= self._well_after:
            self._trouble_since = None
            self._limit_s = self._grace_s
            self._excused_s = 0.0
            self._attempts = 0
            self.released = False
            self.ever_well = True

    def ended(self, now: float) -> None:
        self._running = False
        if self._trouble_since is None:
            self._trouble_since = self._quiet_since
        # At once the first time; more slowly while it goes on, but several times within the grace time.
        longest = RETRY_MAX_S if self.released else self._grace_s / 5
        self._start_at = now + min(0.05 * 2 ** min(self._attempts, 12) if self._attempts else 0.0, longest)

    def change(self, grace_s: float) -> None:
        """Another configuration has another grace time."""
        self._grace_s = grace_s
        self._settle_s = min(1.0, grace_s / 4)
        if self.ever_well:
            self._limit_s = grace_s

    def excuse(self, seconds: float) -> None:
        """That long neither of us could run."""
        seconds = min(seconds, max(_EXCUSES * self._grace_s - self._excused_s, 0.0))
        self._excused_s += seconds
        self._quiet_since += seconds
        if self._trouble_since is not None:
            self._trouble_since += seconds

    def release_done(self, now: float, ok: bool) -> None:
        """Afterwards a new daemon is tried again and again. What did not work is repeated after the next grace time."""
        self.released = ok
        self._trouble_since = now
        self._start_at = now
        self._attempts = 0

    def judge(self, now: float) -> Step:
        if self._running and now - self._quiet_since > self._patience_s():
            return "kill"
        if self._trouble_since is not None and not self.released and now - self._trouble_since > self._limit_s:
            return "release"
        return "start" if not self._running and now >= self._start_at else ""

    def _patience_s(self) -> float:
        if self._petted_at is not None:
            return self._grace_s / 2
        return max(self._grace_s, STARTUP_S) if self.released else self._limit_s
