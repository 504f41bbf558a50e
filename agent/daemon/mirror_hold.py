"""The file system of an active mirror disk held still for a moment, so that the other side's copy of it is consistent.

Rules of this file
- A frozen file system makes everybody who writes to it wait. It is held for seconds at most, and let go by a clock of
  its own; a daemon that dies meanwhile leaves a file that names it, and the next one lets it go first of all.
- What memory has not written yet is written before it is frozen, while the applications go on.
- Letting go writes, and waits for the mirror: never in the loop.
- Who held it learns at the release whether it was held until then: else the copy is not what it should be.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
from pathlib import Path
from typing import Literal

HOLD_S = 5.0
_FREEZE, _THAW = 0xC0045877, 0xC0045878
_SUFFIX = ".frozen"
_PATH_BYTES = 4096
_libc = ctypes.CDLL(None, use_errno=True)

State = Literal["preparing", "held", "failed", "over"]


class Hold:
    """Of one file system, once. `point` is where it is mounted."""

    def __init__(self, key: str, name: str, point: str, run: Path, limit_s: float = HOLD_S) -> None:
        self.key, self.point = key, point
        self.state: State = "preparing"
        self.why = ""
        self._file = run / f"mirror-{name}{_SUFFIX}"
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._fd = -1
        self._given_up = False

    async def begin(self) -> None:
        """Until it is held, or has failed."""
        try:
            await asyncio.to_thread(self._freeze)
        except OSError as error:
            self.state, self.why = "failed", f"{self.point} cannot be held still: {error.strerror or error}"
            await asyncio.to_thread(self._thaw)
            return
        self.state = "held"
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._expired)
        if self._given_up:
            self._expired()

    def nothing_mounted(self) -> None:
        """Nobody writes: it stands still by itself."""
        self.state = "held"

    def release(self) -> bool:
        """Was it held until now?"""
        held, self._given_up = self.state == "held", True
        self._expired()
        return held

    def _expired(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.state == "held":
            self.state = "over"
            if self._fd < 0:
                return
            # Its first write waits for the mirror, and the mirror may wait for a word that this loop brings.
            asyncio.get_running_loop().run_in_executor(None, self._thaw)

    # ---- in a thread ----
    def _freeze(self) -> None:
        self._fd = os.open(self.point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _libc.syncfs(self._fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._file.write_text(self.point, encoding="utf-8", errors="surrogateescape")
        fcntl.ioctl(self._fd, _FREEZE, 0)

    def _thaw(self) -> None:
        if self._fd >= 0:
            _let_go(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._file.unlink(missing_ok=True)


def _let_go(fd: int) -> None:
    try:
        fcntl.ioctl(fd, _THAW, 0)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY):  # It is not frozen.
            raise


def thaw_left(run: Path) -> list[str]:
    """What a daemon that died meanwhile left frozen; mount points that were let go."""
    found = []
    for file in run.glob(f"mirror-*{_SUFFIX}"):
        try:
            with file.open("rb") as opened:
                point = os.fsdecode(opened.read(_PATH_BYTES))
            fd = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            file.unlink(missing_ok=True)
            continue
        try:
            _let_go(fd)
        finally:
            os.close(fd)
        file.unlink(missing_ok=True)
        found.append(point)
    return found
