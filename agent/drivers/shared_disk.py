"""A shared disk past every cache: blocks written through to the medium and read from it. Standard library only."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import struct
from typing import NoReturn

_BLKGETSIZE64 = 0x80081272


class DiskError(Exception):
    """The disk did not do it. The text is a sentence for the administrator."""


class SharedDisk:
    """Every call may take as long as the disk wants: only for a thread or process that may wait."""

    def __init__(self, path: str, length: int, *, exclusive: bool = False) -> None:
        """`length`: how much read() reads. `exclusive`: fails when a block device is mounted or part of something."""
        self.path = path
        self._descriptor = -1
        flags = os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC | (os.O_EXCL if exclusive else 0)
        try:
            self._descriptor = _open(path, flags)
            self.size = _size(self._descriptor)
            # Anonymous memory begins at a page, which is what O_DIRECT wants.
            self._in = mmap.mmap(-1, length)
            self._out = mmap.mmap(-1, mmap.PAGESIZE)
        except OSError as error:
            self.close()
            _fail(path, error)

    def read(self) -> bytes:
        """The first `length` bytes."""
        try:
            got = os.preadv(self._descriptor, [self._in], 0)
        except OSError as error:
            _fail(self.path, error)
        if got < len(self._in):
            raise DiskError(f"{self.path} ends after {got} bytes; {len(self._in)} are needed")
        return self._in[:]

    def write(self, place: int, data: bytes) -> None:
        """One block, at a multiple of its length; on the medium when this returns."""
        self._out[: len(data)] = data
        with memoryview(self._out) as view, view[: len(data)] as block:
            try:
                done = os.pwritev(self._descriptor, [block], place)
            except OSError as error:
                _fail(self.path, error)
        if done != len(data):
            raise DiskError(f"{self.path} took {done} of {len(data)} bytes")

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: str, flags: int) -> int:
    mode = os.stat(path).st_mode
    if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
        raise OSError(errno.ENOTBLK, "it is neither a block device nor a file")
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError as error:
        # Some file systems know no O_DIRECT. A file of one machine, as in a demonstration, does without.
        if error.errno != errno.EINVAL or not stat.S_ISREG(mode):
            raise
    return os.open(path, flags)


def _size(descriptor: int) -> int:
    found = os.fstat(descriptor)
    if stat.S_ISBLK(found.st_mode):
        answer = fcntl.ioctl(descriptor, _BLKGETSIZE64, bytes(8))
        return int(struct.unpack("=Q", answer)[0])
    return found.st_size


def _fail(path: str, error: OSError) -> NoReturn:
    reason = error.strerror or str(error)
    if error.errno == errno.EBUSY:
        reason = "it is mounted or part of a RAID or volume group"
    raise DiskError(f"{path}: {reason}") from error
