"""Tells when a file was written to, or another one took its name."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_IN_MODIFY, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x800, 0x400
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_EVENT_BYTES = 4096
_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """`fd` becomes readable at each change; then call drain(). Without inotify, or without the file, fd stays quiet:
    look now and then all the same, with renew()."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd: int = _libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        self._inode = 0

    def renew(self) -> None:
        """Watch the file that has the name now."""
        if self.fd < 0:
            return
        try:
            inode = self._path.stat().st_ino
        except OSError:
            self._inode = 0
            return
        if inode != self._inode:
            mask = _IN_MODIFY | _IN_MOVE_SELF | _IN_DELETE_SELF
            if _libc.inotify_add_watch(self.fd, os.fsencode(self._path), mask) >= 0:
                self._inode = inode

    def drain(self) -> None:
        try:
            while os.read(self.fd, _EVENT_BYTES):
                continue
        except OSError:
            return

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
