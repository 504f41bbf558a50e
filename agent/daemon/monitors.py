"""Repeats the checks of the monitors by interval and timeout; each run gives one MonitorResult, the engine counts."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable
from typing import Protocol

from agent.daemon.binding import BoundMonitor, Machine
from agent.daemon.tasks import give_up
from agent.engine.events import MonitorResult
from agent.monitors import Health
from agent.ports import DriverError

_NEVER_LATE = 100  # percent of the timeout
_SHORTEST_PAUSE_S = 0.1  # between two checks, however often a watched thing changes


class Timed(Protocol):
    def __call__(self, monitor: str, seconds: float, /, *, ok: bool, timed_out: bool) -> None: ...


class MonitorRuns:
    """`report` feeds the engine; `complain` takes (monitor, sentence); `log` takes tracebacks of our own errors; `slow`
    takes (monitor, how slow) when its answers begin to come late; `timed` every check and how long it took."""

    def __init__(
        self,
        machine: Machine,
        report: Callable[[MonitorResult], None],
        complain: Callable[[str, str], None],
        log: Callable[[str], None],
        slow: Callable[[str, str], None] = lambda _name, _words: None,
        timed: Timed = lambda _name, _seconds, *, ok, timed_out: None,
    ) -> None:
        self._machine = machine
        self._slow = slow
        self._timed = timed
        self._report = report
        self._complain = complain
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stalls = 0

    def start(self, name: str) -> None:
        self.stop(name)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._watch(name))

    def stop(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def stalled(self) -> None:
        """A check that this process slept through says nothing about the thing checked."""
        self._stalls += 1

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        await give_up(tasks)

    async def _watch(self, name: str) -> None:
        try:
            bound = self._machine.monitor(name)
        except DriverError as error:
            # A monitor that cannot run has seen nothing; recovering its target for that would be harm.
            self._complain(name, f"Monitor {name} does not run: {error.detail}")
            return
        await asyncio.sleep(bound.monitor.first_wait_s)
        loop, was_late = asyncio.get_running_loop(), False
        while True:
            began, stalls = loop.time(), self._stalls
            health, sure = await self._check(bound)
            if stalls != self._stalls and not health.ok:
                continue
            elapsed_s = loop.time() - began
            late = self._is_late(elapsed_s, bound.monitor.timeout_s)
            timed_out = not health.ok and elapsed_s >= bound.monitor.timeout_s
            if sure and stalls == self._stalls:
                self._timed(name, elapsed_s, ok=health.ok, timed_out=timed_out)
            words = f"answered after {elapsed_s:.1f} of {bound.monitor.timeout_s:g} s" if late else ""
            if late and health.ok and not was_late:
                self._slow(name, words)
            was_late = late
            self._report(
                MonitorResult(
                    monitor=name, ok=health.ok, detail=health.detail or words, elapsed_ms=round(elapsed_s * 1000, 3),
                    warning=health.ok and (late or not sure or health.warning),
                    timed_out=timed_out,
                )
            )  # fmt: skip
            await self._pause(bound, began + bound.monitor.interval_s - loop.time(), health.ok)

    def _is_late(self, elapsed_s: float, timeout_s: float) -> bool:
        """Normal, but worth a warning: what is slow today fails tomorrow."""
        rate = self._machine.cluster.delay_warning
        return rate < _NEVER_LATE and elapsed_s > timeout_s * rate / 100

    async def _check(self, bound: BoundMonitor) -> tuple[Health, bool]:
        """The health, and whether the check itself worked."""
        monitor = bound.monitor
        try:
            async with asyncio.timeout(monitor.timeout_s):
                return await bound.type.check(bound.values, monitor.target, bound.target_values, bound.ports), True
        except TimeoutError:
            return Health(ok=False, detail=f"no result within {monitor.timeout_s:g} s"), True
        except DriverError as error:
            return Health(ok=False, detail=error.detail), True
        except Exception as error:
            # Our own error: it must be seen, and must not move anybody's service.
            self._log(f"monitor {monitor.name}: an error of this program\n{traceback.format_exc()}")
            return Health(ok=True, detail=f"the check failed ({type(error).__name__}: {error}); see agent.log"), False

    async def _pause(self, bound: BoundMonitor, seconds: float, healthy: bool) -> None:
        """Until the next check is due, or the watched thing has certainly changed."""
        seconds = max(_SHORTEST_PAUSE_S, seconds)
        # What is gone already changes no more; wake would come back at once.
        if bound.type.wake is None or not healthy:
            await asyncio.sleep(seconds)
            return
        waking = bound.type.wake(bound.values, bound.monitor.target, bound.target_values, bound.ports)
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError, DriverError):
            async with asyncio.timeout(seconds):
                await waking
                return await self._at_least(began)
        if (left_s := began + seconds - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left_s)

    async def _at_least(self, began: float) -> None:
        passed_s = asyncio.get_running_loop().time() - began
        if passed_s < _SHORTEST_PAUSE_S:
            await asyncio.sleep(_SHORTEST_PAUSE_S - passed_s)
