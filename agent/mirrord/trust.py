"""Whether the newest flush of the data partition is known to have been done, for the process that comes next.

Rules of this file
- The kernel tells of data that it could not bring to the disk once, to whoever flushes next. A process that is killed
  before it has written down what it was told would take its disk for whole, and those writes for there.
- So the word stands in memory that outlives the process (a file in the directory of its sockets, mapped) before the
  flush is asked for, and is taken back after it. Whoever finds it does not count on unflushed writes of this disk any
  more (`Past.doubted`); whoever finds that it had refused also knows that the disk is no whole copy.
- It is taken back only when the superblock says the same on stable storage.
- After a power cut it says nothing: then nobody counts on unflushed writes anyway.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

from agent.mirrord.settings import Settings

AT_REST: Final = 0
ASKED: Final = 1  # a flush is under way
REFUSED: Final = 2  # the disk has refused a write or a flush
_BYTES = 64


class Trust:
    """Of the data partition. Raises OSError."""

    def __init__(self, settings: Settings) -> None:
        boot = settings.boot.encode()[: _BYTES - 2].ljust(_BYTES - 1, b"\0")
        descriptor = os.open(settings.trust, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _BYTES)
            self._page = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        if self._page[1:] != boot:
            self._page[:] = bytes(1) + boot
        self.found = self._page[0]  # what the process before this one has left

    def say(self, word: int) -> None:
        if self._page[0] != REFUSED:
            self._page[0] = word

    def begin(self) -> None:
        """What was found stands in the superblock."""
        self._page[0] = AT_REST
