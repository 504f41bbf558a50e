"""When the newest beat was sent that a majority confirmed: a word of memory that outlives each process that uses it.

The supervisor makes it, the heartbeat child writes it, the next child goes on with it (its lease is neither lost by
its predecessor's death nor longer for it), and the daemon reads it, so that a child which hangs cannot keep the groups
of this server up while the others take them over. Standard library only.
"""

from __future__ import annotations

import mmap
import os

BYTES = 128  # the lease, and the words of a drill behind it (drill_memory.py)


def make_lease() -> int:
    """The descriptor to be handed on."""
    descriptor = os.memfd_create("lease")
    os.ftruncate(descriptor, BYTES)
    return descriptor


class Lease:
    """Steady seconds; 0.0 while there was none yet. Without a descriptor (-1) it is this process's own."""

    def __init__(self, descriptor: int) -> None:
        self._page = mmap.mmap(descriptor, BYTES)
        # One aligned word: it is written and read as a whole.
        self._word = memoryview(self._page).cast("d")

    def read(self) -> float:
        return self._word[0]

    def write(self, since: float) -> None:
        self._word[0] = since
