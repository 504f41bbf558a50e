"""The memory into which the kernel puts the requests of the applications, and which outlives the mirror process.

It is a memfd that the holder keeps. A table has a record for each request: its head as the kernel wrote it, and where
its data are. The rules that make a crash harmless:
- The place of the data is in the record before the kernel is asked for a request.
- The first word of a record is set to zero after the request was answered, and not before. So whoever comes next finds
  every unanswered request, with its data. He may find one that was answered: the kernel ignores a second answer, and
  `device.py` takes nothing new before all those are done, so that no old write overtakes a new one.
- Memory that the kernel writes to is there before it does (`_populate`): a process that is killed gets no pages any
  more, and the kernel would fail the request that it was just copying.

The data lie in chunks, one behind the other, each on its own pages, as many as it needs; a chunk begins anew when all
in it are answered. So little memory is used, and the same again: one chunk with small requests, all of them only with
16 MiB on their way.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from agent.mirrord.fuse import IO_BYTES, MAX_WRITE, PAGE

SLOTS = 256  # a loop device has 128 requests on their way
RECORD = 128
WORDS = RECORD // 8
PLACE = IO_BYTES // 8  # the word of a record that says where the data are
TABLE = SLOTS * RECORD
CHUNK = 2 * MAX_WRITE
CHUNKS = 8
SIZE = TABLE + CHUNKS * CHUNK
_POPULATE_WRITE = 23  # of madvise, since Linux 5.14
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def create(name: str) -> int:
    memory = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(memory, SIZE)
    return memory


class Slots:
    """Of one process: `fd` is its own descriptor of the memory."""

    __slots__ = ("_bump", "_current", "_fd", "_live", "_map", "_there", "data", "free", "heads", "records", "words")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, SIZE)
        whole = memoryview(self._map)
        self.records = whole[:TABLE]
        self.words = self.records.cast("Q")
        self.heads = [self.records[at : at + IO_BYTES] for at in range(0, TABLE, RECORD)]
        self.data = whole[TABLE:]
        self._bump = [0] * CHUNKS
        self._live = [0] * CHUNKS
        self._there = [False] * CHUNKS
        self._current = 0
        self._populate(0)
        taken = self.taken()
        self.free = [slot for slot in reversed(range(SLOTS)) if slot not in taken]  # the last one is taken first

    def taken(self) -> dict[int, int]:
        """Requests that are not answered: slot -> place of its data."""
        return {slot: self.words[slot * WORDS + PLACE] for slot in range(SLOTS) if self.words[slot * WORDS]}

    # ---- one request ----
    def window(self) -> int:
        """Where as much is free as a request may need; -1: nowhere, until something is answered."""
        current = self._current
        if self._bump[current] > CHUNK - MAX_WRITE:
            for current in range(CHUNKS):
                if not self._live[current]:
                    break
            else:
                return -1
            self._current = current
            if not self._there[current]:
                self._populate(current)
        return current * CHUNK + self._bump[current]

    def use(self, at: int, length: int) -> None:
        """A request has come into the slot that is next: it keeps these bytes until `release`."""
        self.free.pop()
        chunk = at // CHUNK
        self._live[chunk] += 1
        end = at % CHUNK + (length + PAGE - 1) // PAGE * PAGE
        if end > self._bump[chunk]:
            self._bump[chunk] = end

    def release(self, slot: int, at: int) -> None:
        """It was answered."""
        self.words[slot * WORDS] = 0
        self.free.append(slot)
        chunk = at // CHUNK
        self._live[chunk] = left = self._live[chunk] - 1
        if not left:
            self._bump[chunk] = 0

    def forget(self, slot: int) -> None:
        """Of a request that got no data and is done."""
        self.words[slot * WORDS] = 0

    # ---- memory ----
    def _populate(self, chunk: int) -> None:
        start = TABLE + chunk * CHUNK
        try:
            self._map.madvise(_POPULATE_WRITE, start, CHUNK)
        except OSError:
            for at in range(start, start + CHUNK, PAGE):
                self._map[at] = self._map[at]
        self._there[chunk] = True

    def shrink(self) -> None:
        """Gives back what a burst has used."""
        if not self._live[self._current]:
            self._current = 0
        for chunk in range(1, CHUNKS):
            if self._there[chunk] and not self._live[chunk] and chunk != self._current:
                # Not madvise, which refuses memory that is locked.
                _libc.fallocate(self._fd, _KEEP_SIZE | _PUNCH_HOLE, TABLE + chunk * CHUNK, CHUNK)
                self._there[chunk] = False
