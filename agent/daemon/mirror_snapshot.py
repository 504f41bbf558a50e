"""The disk of a separated side to be read: a read-only loop device on its data partition, and its file system on that.

Rules of this file
- Read-only in two ways: the loop device takes no write, whatever is mounted how; and the file system is told not to
  replay its journal. It was held still when the disk was separated, so there is nothing to replay.
- What was made is written down beside the control socket, so that a later daemon can take it away.
- Who still reads is named and keeps it; only force detaches it from under him.
All of it blocks, and is done in threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path

import msgspec

from agent.drivers.files import read_limited, write_atomic
from agent.mirrord import loopdev
from agent.mirrord.settings import Settings

# Of each file system: mounted without a replay of its journal, beside another one with the same identity.
OPTIONS = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery,nouuid",
    "btrfs": "rescue=nologreplay",
    "reiserfs": "nolog",
}
_READ_ONLY, _NO_SUID, _NO_DEVICES = 1, 2, 4
_MNT_DETACH = 2
_FILE_BYTES = 64 << 10
_DETACH_S = 3.0
_libc = ctypes.CDLL(None, use_errno=True)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to be read. `point` "" without a file system."""

    device: str
    file: str  # what the loop device is on, as the kernel names it
    point: str = ""


class SnapshotError(Exception):
    """The text is a sentence for the operator."""


class Snapshot:
    """`kind` is the file system of the mirror disk, "" none."""

    def __init__(self, settings: Settings, kind: str) -> None:
        self._settings, self._kind = settings, kind
        self._file = Path(settings.run) / f"mirror-{settings.mirror}.backup"
        self._point = Path(settings.run) / "backup" / settings.mirror

    def made(self) -> Made | None:
        with contextlib.suppress(OSError, ValueError):
            return msgspec.json.decode(read_limited(self._file, _FILE_BYTES) or b"", type=Made)
        return None

    def take(self) -> Made:
        """SnapshotError: nothing is left of it. There already: the same again."""
        if (made := self.made()) is not None and loopdev.backing(made.device) == made.file:
            return made
        device = ""
        try:
            device, file = self._attach()
            made = Made(device=device, file=file)
            write_atomic(self._file, msgspec.json.encode(made), durable=False)
            if self._kind:
                self._mount(device)
                made = msgspec.structs.replace(made, point=str(self._point))
                write_atomic(self._file, msgspec.json.encode(made), durable=False)
        except OSError as error:
            if device:
                with contextlib.suppress(SnapshotError):
                    self.remove(force=True)
            raise SnapshotError(f"The separated disk cannot be shown: {error.strerror or error}.") from error
        return made

    def _attach(self) -> tuple[str, str]:
        fd = os.open(self._settings.data, os.O_RDONLY | os.O_CLOEXEC)
        try:
            block = loopdev.block_size(self._settings.data)
            device = loopdev.attach(fd, f"{self._settings.mirror} backup", block, flags=loopdev.READ_ONLY)
        finally:
            os.close(fd)
        return device, loopdev.backing(device)

    def _mount(self, device: str) -> None:
        self._point.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._point.mkdir(mode=0o700, exist_ok=True)
        words = (os.fsencode(word) for word in (device, str(self._point), self._kind))
        options = OPTIONS.get(self._kind, "").encode()
        if _libc.mount(*words, _READ_ONLY | _NO_SUID | _NO_DEVICES, options):
            number = ctypes.get_errno()
            raise OSError(number, f"{self._kind} of {device} cannot be mounted read-only: {os.strerror(number)}")

    def remove(self, *, force: bool) -> None:
        """SnapshotError: somebody uses it. Nothing to do when there is none."""
        made = self.made()
        if made is None:
            return
        if made.point and _libc.umount2(os.fsencode(made.point), _MNT_DETACH if force else 0):
            number = ctypes.get_errno()
            if number == errno.EBUSY:
                raise SnapshotError(f"{made.point} is still being read (fuser -vm {made.point}); end that first.")
            if number not in (errno.EINVAL, errno.ENOENT):  # It is not mounted any more.
                raise SnapshotError(f"{made.point} cannot be unmounted: {os.strerror(number)}.")
        try:
            loopdev.detach(made.device, made.file, lazy=force, limit_s=_DETACH_S)
        except OSError as error:
            raise SnapshotError(f"{error.strerror or error}") from error
        self._file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._point.rmdir()
