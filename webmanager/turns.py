"""When rooms publish, and what that costs: processor time of the event loop's thread, without what it does between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable


class Clock:
    """Goes while the event loop's thread has the processor, and stands while it does something that is no part of the
    price: a room that publishes has to pay for the sockets that take it, which happens later in the same step of the
    loop, but not for what a thousand agents tell in that step, nor for other rooms."""

    def __init__(self) -> None:
        self._left_out_s = 0.0

    def now(self) -> float:
        return time.thread_time() - self._left_out_s

    def rewind(self, start: float) -> None:
        """What was done since `start` does not count."""
        self._left_out_s += self.now() - start


clock = Clock()  # of this process; one event loop serves


class Turns:
    """All rooms of a process: together they publish for half of its time at most, in the order of their asking.

    With many busy clusters the rest of each room alone would not leave time to read what the agents tell. Who comes
    while nobody publishes and the last publication has been paid for goes at once."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Callable[[], None]] = {}  # in the order of their asking
        self._free_at = 0.0
        self._next: asyncio.TimerHandle | None = None
        self._unpaid = False  # One publishes; what it costs is not known yet.

    def ask(self, who: Hashable, publish: Callable[[], None]) -> None:
        """`publish` is called when it is the turn of `who`, perhaps before this returns; `paid` has to follow."""
        self._waiting.setdefault(who, publish)
        self._look()

    def give_up(self, who: Hashable) -> None:
        self._waiting.pop(who, None)

    def paid(self, cost_s: float) -> None:
        self._free_at = max(self._free_at, asyncio.get_running_loop().time()) + cost_s
        self._unpaid = False
        self._look()

    def _look(self) -> None:
        if self._next is not None or self._unpaid or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if self._free_at <= loop.time():
            self._begin()
        else:
            self._next = loop.call_at(self._free_at, self._begin)

    def _begin(self) -> None:
        self._next = None
        if not self._waiting:
            return
        publish = self._waiting.pop(next(iter(self._waiting)))
        self._unpaid = True
        try:
            publish()
        except Exception:  # It will not pay; the others shall not wait for it.
            self._unpaid = False
            self._look()
            raise
