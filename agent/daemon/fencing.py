"""Carries out Fence effects, and remembers below OPENCLP_STATE how each device did last."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.clpconf.model import Cluster
from agent.daemon.tasks import give_up
from agent.drivers.files import read_limited, write_atomic
from agent.engine.effects import Fence
from agent.engine.events import FenceDone, FencesKnown
from agent.wire.report import FenceReport

if TYPE_CHECKING:
    from agent.drivers.fence import FenceDriver

_LIMIT_BYTES = 1 << 20
_OVERTIME_S = 60.0  # beyond the device's own limit: two runs and their ends


class FenceRuns:
    """Each effect ends in exactly one FenceDone. `log` takes lines about a device, `bug` tracebacks of our own."""

    def __init__(
        self,
        cluster: Cluster,
        results: Path,
        cache: Path,
        *,
        feed: Callable[[FenceDone], None],
        log: Callable[[str, str], None],
        bug: Callable[[str], None],
    ) -> None:
        self._devices = {device.name: device for device in cluster.fences}
        self._path = results
        self._cache = cache
        self._driver: FenceDriver | None = None
        self._feed = feed
        self._log = log
        self._bug = bug
        self._tasks: dict[int, asyncio.Task[None]] = {}  # by token
        self._results: dict[str, FenceReport] = {}

    def known(self) -> FencesKnown:
        """What earlier daemons found out; a damaged file is as good as none."""
        try:
            data = read_limited(self._path, _LIMIT_BYTES)
            self._results = msgspec.json.decode(data, type=dict[str, FenceReport]) if data else {}
        except (OSError, ValueError) as error:
            self._bug(f"{self._path} cannot be read: {error}. The fence devices count as never tested.")
        return FencesKnown(results=self._results)

    def carry_out(self, effect: Fence) -> None:
        self._tasks[effect.token] = asyncio.get_running_loop().create_task(self._run(effect))

    def abort(self, token: int) -> None:
        """Its FenceDone still comes, once its processes are stopped."""
        task = self._tasks.get(token)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Gives up what runs, without a word to the engine."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        await give_up(tasks)

    async def _run(self, effect: Fence) -> None:
        try:
            ok, detail = await self._outcome(effect)
            self._remember(effect.device, ok, detail)
        except asyncio.CancelledError:
            ok, detail = False, "given up"
        if self._tasks.pop(effect.token, None) is not None:
            self._feed(FenceDone(token=effect.token, ok=ok, detail=detail))

    async def _outcome(self, effect: Fence) -> tuple[bool, str]:
        device = self._devices[effect.device]
        try:
            async with asyncio.timeout(device.timeout_s + _OVERTIME_S):
                return await self._ready().run(device, effect.server, effect.action)
        except TimeoutError:
            return False, f"it did not end within {device.timeout_s + _OVERTIME_S:g} s"
        except Exception as error:
            self._bug(f"{device.name}: an error of this program\n{traceback.format_exc()}")
            return False, f"an error of this program ({type(error).__name__}); agent.log has the details"

    def _ready(self) -> FenceDriver:
        if self._driver is None:
            # Costs memory that a cluster without fence devices does not need.
            from agent.drivers.fence import FenceDriver, InstalledAgents

            self._driver = FenceDriver(InstalledAgents(self._cache), self._log)
        return self._driver

    def _remember(self, device: str, ok: bool, detail: str) -> None:
        before, now = self._results.get(device) or FenceReport(), time.time()
        self._results[device] = FenceReport(
            at=now, result="ok" if ok else "failed", detail=detail, proven=now if ok else before.proven
        )
        try:
            write_atomic(self._path, msgspec.json.encode(self._results), durable=False)
        except OSError as error:
            self._log(device, f"its result cannot be kept in {self._path}: {error.strerror}")
