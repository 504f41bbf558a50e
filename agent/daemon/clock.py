"""The steady clock of the daemon: seconds since 1970 that never jump, and the notice that this process was stalled."""

from __future__ import annotations

import time


def steady() -> float:
    """CLOCK_BOOTTIME: never set, and it counts what the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """CLOCK_BOOTTIME (goes on during suspend, never steps) with an origin taken from the wall clock once, at start."""

    def __init__(self) -> None:
        self._origin = time.time() - steady()

    def now(self) -> float:
        return self._origin + steady()


class Pulse:
    """Notices that the process did not run: SIGSTOP, a starved CPU, a suspended machine.

    `beat` is called every `period_s` by a timer and before each event, so that what was waiting in sockets meanwhile is
    not taken for fresh.
    """

    def __init__(self, now: float, *, period_s: float, limit_s: float) -> None:
        self.period_s = period_s
        self._limit_s = limit_s
        self._last = now

    def beat(self, now: float, *, timer: bool) -> float:
        """Seconds of the stall that just ended, 0.0 when there was none."""
        gap = now - self._last
        stalled = gap > self.period_s + self._limit_s
        if timer or stalled:
            self._last = now
        return gap if stalled else 0.0
