"""Loop devices by ioctl: one on our own descriptor, with direct I/O, and away again."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
import struct
import time

from agent.mirrord.fuse import MAX_WRITE, DeviceError

_CONTROL = "/dev/loop-control"
_CLR_FD, _SET_STATUS, _GET_STATUS, _CONFIGURE, _GET_FREE = 0x4C01, 0x4C04, 0x4C05, 0x4C0A, 0x4C82
READ_ONLY, _AUTOCLEAR, _DIRECT_IO = 1, 4, 16
_CONFIG = struct.Struct("=II 5Q4I 64s64s32s2Q 64x")  # fd, block size; loop_info64
_INFO_BYTES, _FLAGS = 232, struct.Struct("=52xI")
_BLKSSZGET = 0x1268
_MAJOR = 7
_TRIES = 64  # others take loop devices at the same time


def block_size(path: str) -> int:
    """Of the smallest piece that the disk can write; 512 for a file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not stat.S_ISBLK(os.fstat(fd).st_mode):
            return 512
        return int(struct.unpack("=i", fcntl.ioctl(fd, _BLKSSZGET, bytes(4)))[0])
    finally:
        os.close(fd)


def attach(file: int, name: str, block: int, *, flags: int = _DIRECT_IO) -> str:
    """A loop device on the open file; `name` is for people. DeviceError."""
    try:
        control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        code = error.errno or errno.ENOENT
        raise DeviceError(code, f"There is no {_CONTROL}: load the kernel module loop ({error.strerror}).") from error
    try:
        for _ in range(_TRIES):
            number = int(fcntl.ioctl(control, _GET_FREE))
            device = f"/dev/loop{number}"
            if _configure(device, number, file, name, block, flags):
                _tune(number)
                return device
    except OSError as error:
        if isinstance(error, DeviceError):
            raise
        code = error.errno or errno.EIO
        raise DeviceError(code, f"The kernel gives no loop device: {error.strerror}.") from error
    finally:
        os.close(control)
    raise DeviceError(errno.EBUSY, f"Others took each of {_TRIES} free loop devices first; try again.")


def _configure(device: str, number: int, file: int, name: str, block: int, flags: int) -> bool:
    """False: somebody else has taken it meanwhile."""
    if not os.path.exists(device):  # Nobody makes nodes here, as in a container.
        with contextlib.suppress(FileExistsError):
            os.mknod(device, stat.S_IFBLK | 0o660, os.makedev(_MAJOR, number))
    fd = os.open(device, (os.O_RDONLY if flags & READ_ONLY else os.O_RDWR) | os.O_CLOEXEC)
    info = (0, 0, 0, 0, 0, 0, 0, 0, flags, name.encode()[:63], b"", b"", 0, 0)
    try:
        fcntl.ioctl(fd, _CONFIGURE, _CONFIG.pack(file, block, *info))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    finally:
        os.close(fd)
    return True


def _tune(number: int) -> None:
    """A request of the loop device becomes one of ours."""
    with contextlib.suppress(OSError), open(f"/sys/block/loop{number}/queue/max_sectors_kb", "w") as file:
        file.write(str(MAX_WRITE >> 10))


def backing(device: str) -> str:
    """The file of a loop device as the kernel shows it; "" when it has none."""
    try:
        with open(f"/sys/block/{os.path.basename(device)}/loop/backing_file", encoding="utf-8") as file:
            return file.read(8192).rstrip("\n")
    except OSError:
        return ""


def on(path: str) -> list[str]:
    """The loop devices on this file."""
    return [device for device, file in _all().items() if file == path]


def below(path: str) -> dict[str, str]:
    """Those on files below it, each with its file."""
    return {device: file for device, file in _all().items() if file.startswith(path + "/")}


def _all() -> dict[str, str]:
    names = (name for name in os.listdir("/sys/block") if re.fullmatch(r"loop\d+", name))
    return {device: file for device in (f"/dev/{name}" for name in names) if (file := backing(device))}


def direct(device: str) -> bool:
    try:
        with open(f"/sys/block/{os.path.basename(device)}/loop/dio", encoding="ascii") as file:
            return file.read(8).strip() == "1"
    except OSError:
        return False


def detach(device: str, path: str, *, lazy: bool, limit_s: float) -> None:
    """Off its file `path`. Not `lazy`: DeviceError when somebody uses it, and all stays. Else it goes with its last
    user."""
    if backing(device) != path:
        return
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC | (0 if lazy else os.O_EXCL))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DeviceError(errno.EBUSY, f"{device} is in use: unmount what lies on it first.") from error
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise
    try:
        _ioctl_of_bound(fd, _CLR_FD)
    finally:
        os.close(fd)
    if not lazy:
        _wait_until_gone(device, path, limit_s)


def _wait_until_gone(device: str, path: str, limit_s: float) -> None:
    """The kernel takes it away when the last one closes it; `udev` may be looking at it just now."""
    deadline = time.monotonic() + limit_s
    while backing(device) == path:
        if time.monotonic() > deadline:
            _keep(device)
            raise DeviceError(errno.EBUSY, f"A program still has {device} open: end it first (fuser -v {device}).")
        time.sleep(0.01)


def _keep(device: str) -> None:
    """Not away with its last user after all."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = bytearray(_INFO_BYTES)
        _ioctl_of_bound(fd, _GET_STATUS, info)
        (flags,) = _FLAGS.unpack_from(info)
        struct.pack_into("=I", info, _FLAGS.size - 4, flags & ~_AUTOCLEAR)
        _ioctl_of_bound(fd, _SET_STATUS, info)
    finally:
        os.close(fd)


def _ioctl_of_bound(fd: int, request: int, room: bytearray | int = 0) -> None:
    """Nothing when it has no file any more."""
    try:
        fcntl.ioctl(fd, request, room)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
