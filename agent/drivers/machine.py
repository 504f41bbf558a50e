"""The machine itself: which boot this is, and how to end it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Literal

from agent.drivers import procfs
from agent.ports import DriverError

How = Literal["shutdown", "reboot", "panic", "reset"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYSRQ_TRIGGER = Path("/proc/sysrq-trigger")
_SYSTEMD = Path("/run/systemd/system")
_SYSTEMCTL_TIMEOUT_S = 10.0
# The number that the kernel gives to the process namespace it starts with.
_FIRST_PID_NAMESPACE = 4026531836
_RESTART, _POWER_OFF = 0x01234567, 0x4321FEDC


def boot_id() -> str:
    """The same exactly as long as processes of an earlier daemon may still run.

    The start time of process 1 is a part of it: a container boots anew while its kernel does not.
    """
    first = procfs.find(1)
    return f"{_BOOT_ID.read_text('ascii').strip()}:{first.start if first else 0}"


def halt(how: How) -> None:
    """End this server. Returns when the orderly way has begun; the hard ways do not return.

    In a container it ends the container: the levers that reach the kernel below it are not touched.
    """
    if how in ("panic", "reset"):
        if _owns_kernel():
            _sysrq("c" if how == "panic" else "b")
        _reboot(_RESTART)
    os.sync()
    verb = "poweroff" if how == "shutdown" else "reboot"
    if not (_owns_kernel() and _SYSTEMD.is_dir() and _systemctl(verb)):
        _reboot(_POWER_OFF if how == "shutdown" else _RESTART)


def _owns_kernel() -> bool:
    return os.stat("/proc/self/ns/pid").st_ino == _FIRST_PID_NAMESPACE


def _sysrq(command: str) -> None:
    """Works whatever kernel.sysrq says; returns where the kernel has no such lever."""
    try:
        _SYSRQ_TRIGGER.write_text(command, "ascii")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO):
            raise


def _systemctl(verb: str) -> bool:
    try:
        done = subprocess.run(["systemctl", "--no-block", verb], timeout=_SYSTEMCTL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _reboot(command: int) -> None:
    import ctypes  # Costs memory that the agent needs only at its end.

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.reboot(ctypes.c_int(command)) != 0:
        number = ctypes.get_errno()
        raise DriverError(f"cannot end this server: reboot: {os.strerror(number)}; stop it by hand", retryable=False)
