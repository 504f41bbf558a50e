"""The loop of a mirror process: descriptors, timers, and work in threads whose end is told in the loop.

One thread runs everything but `work`, so that the mind needs no locks. No asyncio: a wake-up of it costs as much as the
whole way of a small write.
"""

from __future__ import annotations

import heapq
import itertools
import os
import queue
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

_READABLE, _WRITABLE = ~select.EPOLLOUT, select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
_EVENTS = 64


class Timer:
    __slots__ = ("act", "at")

    def __init__(self, at: float, act: Callable[[], None]) -> None:
        self.at = at
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None


class Poller:
    """`now()` is CLOCK_MONOTONIC, in seconds. What is watched is level-triggered."""

    now = staticmethod(time.monotonic)

    def __init__(self, threads: int = 2) -> None:
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._number = itertools.count()
        self._done: deque[tuple[Callable[[Any, BaseException | None], None], Any, BaseException | None]] = deque()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]] | None]
        self._jobs = queue.SimpleQueue()
        self._ends: list[Callable[[], None]] = []
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake, self._finished)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()
        self.running = True

    # ---- descriptors ----
    def watch(self, fd: int, readable: Callable[[], None], writable: Callable[[], None] | None = None) -> None:
        """Until `unwatch`. `writable` given: called as long as the kernel takes data there. May be called again."""
        known = fd in self._readers
        self._readers[fd] = readable
        events = select.EPOLLIN
        self._writers.pop(fd, None)
        if writable is not None:
            self._writers[fd] = writable
            events |= select.EPOLLOUT
        if known:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Before it is closed."""
        if self._readers.pop(fd, None) is not None:
            self._writers.pop(fd, None)
            self._epoll.unregister(fd)

    # ---- timers ----
    def after(self, seconds: float, act: Callable[[], None]) -> Timer:
        timer = Timer(self.now() + seconds, act)
        heapq.heappush(self._timers, (timer.at, next(self._number), timer))
        return timer

    def at_end(self, act: Callable[[], None]) -> None:
        """Once, when all that this turn brings is done, before the next one waits."""
        self._ends.append(act)

    def _end(self) -> None:
        while self._ends:
            acts, self._ends = self._ends, []
            for act in acts:
                act()

    # ---- threads ----
    def work(self, do: Callable[[], Any], then: Callable[[Any, BaseException | None], None]) -> None:
        """`do` in a thread; `then(result, error)` in the loop."""
        self._jobs.put((do, then))

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            do, then = job
            try:
                self._done.append((then, do(), None))
            except BaseException as error:  # Told in the loop, whatever it is.
                self._done.append((then, None, error))
            os.eventfd_write(self._wake, 1)

    def _finished(self) -> None:
        os.eventfd_read(self._wake)
        while self._done:
            then, result, error = self._done.popleft()
            then(result, error)

    # ---- the loop ----
    def run(self) -> None:
        """Until `stop`."""
        while self.running:
            self.turn()

    def turn(self, most_s: float = 3600.0) -> None:
        """Waits for something to do, and does it."""
        if self._ends:
            self._end()  # What was asked for between two turns.
        timers, readers = self._timers, self._readers
        while timers and timers[0][2].act is None:
            heapq.heappop(timers)
        if timers:
            wait_s = timers[0][0] - self.now()
            most_s = 0.0 if wait_s < 0 else wait_s if wait_s < most_s else most_s
        for fd, events in self._poll(most_s, _EVENTS):
            if events & _READABLE and (reader := readers.get(fd)) is not None:
                reader()
            if events & _WRITABLE and (writer := self._writers.get(fd)) is not None:
                writer()
        now = self.now()
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            if timer.act is not None:
                timer.act()
        if self._ends:
            self._end()

    def stop(self) -> None:
        self.running = False

    def close(self) -> None:
        """Waits for the work that was begun."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._epoll.close()
        os.close(self._wake)
