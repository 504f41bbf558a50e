"""A watchdog device of the kernel: once opened, it resets the machine unless somebody writes to it in time.

Standard library only and small: the heartbeat child uses it. Where the device is a file, a FIFO or a terminal (a
stand-in of the tests), what is written is the same, and the device is not asked anything.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct

DEVICE = "OPENCLP_WATCHDOG"  # a path instead of the device of the method; "none": no device at all
KEEPALIVE, SOFTDOG, IPMI = "keepalive", "softdog", "ipmi"
MODULES = {SOFTDOG: "softdog", IPMI: "ipmi_watchdog"}
_IDENTITY = {SOFTDOG: "software watchdog", IPMI: "ipmi"}
_CLASS = "/sys/class/watchdog"
_FIRST_PID_NAMESPACE = 4026531836  # the number that the kernel gives to the one it starts with
# linux/watchdog.h, on x86-64 and arm64.
_GETSUPPORT, _SETTIMEOUT = 0x80285700, 0xC0045706
_MAGICCLOSE = 0x0100
_INFO = struct.Struct("=II32s")
_PET, _MAGIC = b"\0", b"V"


class Watchdog:
    """`timeout_s`: as the device has taken it. OSError from open() when it cannot be used."""

    def __init__(self, path: str, timeout_s: int) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self.identity = ""
        self.stoppable = True
        self._fd = -1

    @property
    def runs(self) -> bool:
        return self._fd >= 0

    def open(self) -> None:
        """From now on the machine is reset unless pet() is called."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            self._configure(fd)
        except OSError:
            self._stop(fd)
            raise
        self._fd = fd
        self.pet()

    def pet(self) -> None:
        with contextlib.suppress(BlockingIOError):  # A stand-in that nobody reads; a device never blocks.
            os.write(self._fd, _PET)

    def release(self) -> bool:
        """Close it so that it stops. False: it goes on and will reset the machine (nowayout)."""
        fd, self._fd = self._fd, -1
        return self._stop(fd) and not self._still_active()

    def _configure(self, fd: int) -> None:
        info = _asked(fd, _GETSUPPORT, bytes(_INFO.size))
        if info is None:
            return
        options, _, identity = _INFO.unpack(info)
        self.identity = identity.rstrip(b"\0").decode("ascii", "replace")
        self.stoppable = bool(options & _MAGICCLOSE) and _read(self._about("nowayout")) != "1"
        taken = _asked(fd, _SETTIMEOUT, struct.pack("=i", self.timeout_s))
        if taken is not None:
            self.timeout_s = struct.unpack("=i", taken)[0]

    def _stop(self, fd: int) -> bool:
        try:
            os.write(fd, _MAGIC)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(fd)

    def _still_active(self) -> bool:
        return _read(self._about("state")) == "active"

    def _about(self, name: str) -> str:
        """A fact in sysfs; /dev/watchdog is another name of the first device."""
        device = os.path.basename(self.path)
        return f"{_CLASS}/{'watchdog0' if device == 'watchdog' else device}/{name}"


def _asked(fd: int, request: int, data: bytes) -> bytes | None:
    """None where the file is no watchdog device, or the device does not know the request."""
    try:
        return fcntl.ioctl(fd, request, data)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP):
            return None
        raise


def find_device(method: str) -> tuple[str, str]:
    """(path, ""), ("", why there is none); ("", "") where the method needs none."""
    told = os.environ.get(DEVICE, "")
    if told == "none" or (method == KEEPALIVE and not told):
        return "", ""
    if told:
        return told, ""
    if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
        return "", "in a container, where the watchdog belongs to the machine below"
    try:
        names = sorted(os.listdir(_CLASS))
    except OSError:
        names = []
    for name in names:
        if _IDENTITY[method] in _read(f"{_CLASS}/{name}/identity").lower():
            return f"/dev/{name}", ""
    return "", f"there is no {method} watchdog device; load the module (modprobe {MODULES[method]})"


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(256).strip()
    except OSError:
        return ""
