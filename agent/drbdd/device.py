"""The device of a mirror disk whose engine is DRBD: /dev/drbdN and its name for the applications.

What agent/mirrord/holder.py is for the other engine (`agent.daemon.mirror.Holder`). There is no process to keep: the
kernel has the device.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from agent.drbdd.kernel import DrbdError, Kernel
from agent.drbdd.resource import device_of
from agent.mirrord.settings import Settings


class Device:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = device_of(settings)

    def start(self, size: int) -> None:
        """Nothing: it is there as soon as the kernel has the resource."""

    def attach(self) -> str:
        """The device, under its name as well. OSError."""
        os.stat(self._path)
        name = self._settings.device
        if name and not (os.path.islink(name) and os.readlink(name) == self._path):
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISLNK(os.lstat(name).st_mode):
                    raise FileExistsError(errno.EEXIST, "something else has this name; remove it", name)
                os.unlink(name)
            os.symlink(self._path, name)
        return self._path

    def detach(self, *, lazy: bool = False) -> None:
        """OSError when somebody uses it, unless `lazy`."""
        if not lazy:
            self._must_be_free()
        name = self._settings.device
        with contextlib.suppress(FileNotFoundError):
            if name and os.path.islink(name) and os.readlink(name) == self._path:
                os.unlink(name)

    def _must_be_free(self) -> None:
        try:
            os.close(os.open(self._path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            # EMEDIUMTYPE: it is not active, so that nobody can have it open.
            if error.errno not in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EMEDIUMTYPE, errno.EIO):
                raise

    def abort(self) -> None:
        """All I/O on it fails from now on."""
        try:
            Kernel(self._settings).abort()
        except DrbdError as error:
            raise OSError(errno.EIO, str(error)) from error

    def end(self) -> None:
        """Nobody is active here any more, also where the mirror process is dead. OSError."""
        self.detach()
        kernel = Kernel(self._settings)
        try:
            if kernel.look().role == "Primary":
                kernel.demote()
        except DrbdError as error:
            raise OSError(errno.EBUSY, str(error)) from error
