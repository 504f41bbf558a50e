"""The daemon's sign of life to its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os

from agent.daemon.paths import PET_FD

PET_S = 1.0


class Petting:
    """Tells the supervisor that the loop turns. It restarts a daemon that is silent for half the grace time."""

    def __init__(self) -> None:
        self._fd = int(os.environ.get(PET_FD) or -1)
        self.period_s = PET_S / 4  # until the grace time is known

    def begin(self) -> None:
        if self._fd >= 0:
            os.set_blocking(self._fd, False)
            self._pet()

    def _pet(self) -> None:
        with contextlib.suppress(OSError):  # Full: the supervisor is slow. Gone: it takes us along.
            os.write(self._fd, b".")
        asyncio.get_running_loop().call_later(self.period_s, self._pet)
