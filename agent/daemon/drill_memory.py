"""Until when this server stands still or stays away for a drill: words of memory that its agent's processes share.

They lie behind the word of the lease (lease.py), in memory without a name: whatever becomes of the processes, no file
tells a later start of a drill. Standard library only. Times are CLOCK_BOOTTIME, so that whoever reads a word ends by
its own clock; a word that only one of them has read ends likewise.
"""

from __future__ import annotations

import mmap

from agent.daemon.lease import BYTES

_HANG, _AWAY = 1, 2  # words behind the lease
_NAME, _NAME_BYTES = 32, 64  # of the drill, where they lie


class DrillMemory:
    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, BYTES)
        self._words = memoryview(self._page)[:_NAME].cast("d")

    @property
    def hangs_until(self) -> float:
        return self._words[_HANG]

    @hangs_until.setter
    def hangs_until(self, at: float) -> None:
        self._words[_HANG] = at

    @property
    def name(self) -> str:
        """The drill's id."""
        return self._page[_NAME : _NAME + _NAME_BYTES].rstrip(b"\0").decode("utf-8", "replace")

    @name.setter
    def name(self, drill: str) -> None:
        self._page[_NAME : _NAME + _NAME_BYTES] = drill.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")

    @property
    def away_until(self) -> float:
        return self._words[_AWAY]

    @away_until.setter
    def away_until(self, at: float) -> None:
        self._words[_AWAY] = at
