"""Loop devices that servers of the bed have made for their mirror disks. They belong to the machine: nothing takes them
away when a server loses its power, as the end of its namespaces takes the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Container, Iterator
from pathlib import Path

CONNECTIONS = "/sys/fs/fuse/connections"  # of the switch, which mounts it
_CLEAR, _STATUS = 0x4C01, 0x4C05  # LOOP_CLR_FD, LOOP_GET_STATUS64
_STATUS_BYTES = 232
_BLOCKS = Path("/sys/block")


def mark_of(run: Path) -> str:
    """What the names of a server's mirror devices contain (agent/mirrord/holder.py); "" without such a directory."""
    with contextlib.suppress(OSError):
        found = run.stat()
        return f"/{found.st_dev:x}.{found.st_ino:x}/"
    return ""


def _files() -> Iterator[tuple[Path, str]]:
    """Loop devices of mirror disks, and the files behind them as the kernel names them."""
    for block in _BLOCKS.glob("loop*"):
        with contextlib.suppress(OSError):
            file = (block / "loop/backing_file").read_text().rstrip("\n")
            if file.startswith("/openclp/"):
                yield block, file


def _of(mark: str) -> Iterator[int]:
    """An open descriptor of each loop device of that server."""
    for block, file in _files() if mark else ():
        with contextlib.suppress(OSError):
            if mark in file:
                fd = os.open(f"/dev/{block.name}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    yield fd
                finally:
                    os.close(fd)


def names(mark: str) -> list[str]:
    """Of the files behind that server's devices. A name is never given twice while the machine runs."""
    return [file for _, file in _files() if mark and mark in file]


def sweep(left: Container[str]) -> list[str]:
    """Removes the devices on these files, whose servers have ended for certain; returns which it removed."""
    found = []
    for block, file in list(_files()):
        if file in left:
            with contextlib.suppress(OSError):
                fd = os.open(f"/dev/{block.name}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(fd, _CLEAR)
                    found.append(f"/dev/{block.name}")
                finally:
                    os.close(fd)
    return found


def abort(mark: str, connections: Path) -> None:
    """All I/O fails from now on. The process that serves a file system may be the one that unmounts it, as the last of
    its namespace: it would wait for itself."""
    for fd in _of(mark):
        (device,) = struct.unpack_from("=Q", fcntl.ioctl(fd, _STATUS, bytes(_STATUS_BYTES)))
        minor = device & 0xFF | device >> 12 & 0xFFF00
        with contextlib.suppress(OSError):
            (connections / str(minor) / "abort").write_text("1")


def release(mark: str) -> None:
    """Of a server whose processes have ended. Who still has one mounted loses it with his mount."""
    for fd in _of(mark):
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, _CLEAR)
