"""The daemon goes before other programs while a failover is at hand, and only then: afterwards its clients are served
by others."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

_FIRST, _AS_ALL = -20, 0
_AUTOGROUP = Path("/proc/self/autogroup")


class Precedence:
    """Without the privilege nothing happens, and a failover on a busy server takes some milliseconds longer."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        # What we start meanwhile has not our haste.
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))

    @property
    def is_taken(self) -> bool:
        return self._timer is not None

    def take(self, longest_s: float) -> None:
        """Until give_back(), or so long."""
        if self._timer is None:
            _set(_FIRST)
        else:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(longest_s, self.give_back)

    def give_back(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _set(_AS_ALL)


def _set(nice: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    # Where the kernel shares the processor between sessions, only this counts. What we start has sessions of its own.
    with contextlib.suppress(OSError):
        _AUTOGROUP.write_text(str(nice))
