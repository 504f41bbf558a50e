"""The kernel's FUSE protocol, as much of it as one file needs that a loop device lies on.

The mount is in no directory: it is made by fsopen/fsmount and known by its descriptors only. So nobody comes across it
(`df` or `find` would hang as long as no mirror process answers), nobody can unmount it, and the kernel removes it when
the last descriptor and the loop device are gone. What the kernel shows as the path of the file is a name of our own.

Kernels: 5.8 and newer. FOPEN_PARALLEL_DIRECT_WRITES counts from 6.2 on and is ignored before: there writes are handed
to us one after the other, but without waiting for the answer (asynchronous direct I/O). A kernel of 6.9 or newer could
send unanswered requests again (FUSE_HAS_RESEND); `slots.py` does without.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import threading
import time
from typing import NamedTuple

MAX_WRITE = 1 << 20  # 256 pages: what the kernel allows unless somebody has raised fs.fuse.max_pages_limit
PAGE = 4096

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20
INIT, INTERRUPT, FALLOCATE, BATCH_FORGET = 26, 36, 43, 42
SILENT = (FORGET, BATCH_FORGET, INTERRUPT)  # are not answered
PUNCH_HOLE, ZERO_RANGE = 2, 16

HEAD = struct.Struct("=IIQQIIIHH")  # length, opcode, unique, node, uid, gid, pid, extensions, padding
HEAD_BYTES = HEAD.size
IO_BYTES = HEAD_BYTES + 40  # with fuse_read_in or fuse_write_in: where the data of a write begins
OUT = struct.Struct("=IiQ")  # length, error, unique
_INIT_IN = struct.Struct("=IIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
_FOREVER_S = 1 << 40  # for which the kernel need not ask for names and attributes again

_ASYNC_READ, _BIG_WRITES, _ASYNC_DIO, _ABORT_ERROR, _MAX_PAGES = 1 << 0, 1 << 5, 1 << 15, 1 << 21, 1 << 22
_WANTED = _ASYNC_READ | _BIG_WRITES | _ASYNC_DIO | _ABORT_ERROR | _MAX_PAGES
_MINOR = 38
_BACKGROUND = 1024  # requests of asynchronous direct I/O that the kernel hands to us at a time
_DIRECT_IO, _NO_FLUSH, _PARALLEL_DIRECT_WRITES = 1, 1 << 5, 1 << 6
_ROOT = 1

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every architecture
_CLOEXEC = 1
_SET_STRING, _CREATE = 1, 6
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
_libc = ctypes.CDLL(None, use_errno=True)


class DeviceError(OSError):
    """The device cannot be made or used; its text is a sentence for the operator."""

    def __str__(self) -> str:
        return str(self.strerror)


class Mounted(NamedTuple):
    fuse: int  # where requests come from
    file: int  # the file itself, for the loop device
    node: int  # its number
    connection: int  # its number below /sys/fs/fuse/connections


def mount(path: str, size: int, limit_s: float) -> Mounted:
    """A file of `size` bytes that the kernel shows as `path`. Nobody answers its reads and writes yet."""
    names = [name for name in path.split("/") if name]
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    root = -1
    try:
        root = _mount("fuse", {"fd": str(fuse), "rootmode": "40000", "user_id": "0", "group_id": "0"})
        file = _open(fuse, root, names, size, limit_s)
        return Mounted(fuse, file, _ROOT + len(names), os.minor(os.fstat(file).st_dev))
    except BaseException:
        os.close(fuse)
        raise
    finally:
        if root >= 0:
            os.close(root)


def abort(connection: int) -> bool:
    """All I/O of it fails from now on, at once. False: the kernel knows no such connection."""
    for place in ("/sys/fs/fuse/connections", None):
        try:
            control = os.open(place, os.O_PATH | os.O_CLOEXEC) if place else _mount("fusectl", {})
        except OSError:
            continue
        try:
            end = os.open(f"{connection}/abort", os.O_WRONLY | os.O_CLOEXEC, dir_fd=control)
            try:
                os.write(end, b"1")
            finally:
                os.close(end)
            return True
        except FileNotFoundError:
            continue
        finally:
            os.close(control)
    return False


def _mount(kind: str, options: dict[str, str]) -> int:
    """A descriptor of the root of a new mount that is in no directory."""
    context = _call(_FSOPEN, kind.encode(), _CLOEXEC)
    try:
        for name, value in {"source": "openclp-mirror", **options}.items():
            _call(_FSCONFIG, context, _SET_STRING, name.encode(), value.encode(), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _CLOEXEC, _NOSUID | _NODEV | _NOEXEC)
    finally:
        os.close(context)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise DeviceError(code, f"The kernel does not mount the file of the mirror disk: {os.strerror(code)}.")
    return result


def _open(fuse: int, root: int, names: list[str], size: int, limit_s: float) -> int:
    """Opening asks whoever has `fuse`, which is us: so a thread opens, and we answer."""
    opened: list[int] = []
    failed: list[OSError] = []

    def opens() -> None:
        try:
            file = os.open("/".join(names), os.O_RDWR | os.O_CLOEXEC, dir_fd=root)
            opened.append(file)
            # Each closing of a descriptor of it, even of a copy in a child process, would ask for FLUSH and wait for
            # the answer: after the first "not known" it never does again.
            os.close(os.dup(file))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=opens, daemon=True)
    deadline = time.monotonic() + limit_s
    poll = select.poll()
    poll.register(fuse, select.POLLIN)
    thread.start()
    while thread.is_alive() and time.monotonic() < deadline:
        if poll.poll(10):
            _serve(fuse, _ROOT + len(names), size)
    if failed:
        raise failed[0]
    if thread.is_alive():
        raise DeviceError(errno.ETIMEDOUT, f"The kernel did not open the file of the mirror disk within {limit_s:g} s.")
    return opened[0]


def _serve(fuse: int, node: int, size: int) -> None:
    try:
        data = os.read(fuse, IO_BYTES + MAX_WRITE)
    except (BlockingIOError, InterruptedError):
        return
    answer = reply(data, node, size)
    if answer is not None:
        with contextlib.suppress(FileNotFoundError):  # Who asked does not wait any more.
            os.write(fuse, answer)


def reply(request: bytes, node: int, size: int) -> bytes | None:
    """The answer to anything but I/O; `node` is the number of the file. None: none is expected."""
    _, opcode, unique, asked, *_ = HEAD.unpack_from(request)
    body = request[HEAD_BYTES:]
    if opcode in SILENT:
        return None
    if opcode == INIT:
        return _said(unique, _init(body))
    if opcode == LOOKUP:
        found = asked + 1  # Each directory on the way to the file has one name only.
        if found > node:
            return failure(unique, errno.ENOENT)
        entry = struct.pack("=QQQQII", found, 0, _FOREVER_S, _FOREVER_S, 0, 0)
        return _said(unique, entry + _attributes(found, node, size))
    if opcode == GETATTR:
        return _said(unique, struct.pack("=QII", _FOREVER_S, 0, 0) + _attributes(asked, node, size))
    if opcode == OPEN:
        return _said(unique, struct.pack("=QII", 0, _DIRECT_IO | _NO_FLUSH | _PARALLEL_DIRECT_WRITES, 0))
    if opcode == STATFS:
        return _said(unique, struct.pack("=QQQQQIIII24x", size // PAGE, 0, 0, 1, 0, PAGE, 255, PAGE, 0))
    if opcode == RELEASE:
        return _said(unique, b"")
    # The kernel does not ask again for what is not known here: FLUSH (of close), ACCESS, GETXATTR, LSEEK, ...
    return failure(unique, errno.EPERM if opcode == SETATTR else errno.ENOSYS)


def _said(unique: int, body: bytes) -> bytes:
    return OUT.pack(OUT.size + len(body), 0, unique) + body


def failure(unique: int, error: int) -> bytes:
    return OUT.pack(OUT.size, -error, unique)


def _init(body: bytes) -> bytes:
    major, minor, read_ahead, flags = _INIT_IN.unpack_from(body)
    if major != 7 or not flags & _MAX_PAGES or not flags & _ASYNC_DIO:
        raise DeviceError(
            errno.EPROTO, f"This kernel speaks FUSE {major}.{minor}; the mirror disk needs 7.28 or newer."
        )
    return _INIT_OUT.pack(
        7, min(minor, _MINOR), read_ahead, flags & _WANTED, _BACKGROUND, _BACKGROUND, MAX_WRITE, 1,
        MAX_WRITE // PAGE, 0, 0,
    )  # fmt: skip


def _attributes(node: int, file: int, size: int) -> bytes:
    mode, length = (stat.S_IFREG | 0o600, size) if node == file else (stat.S_IFDIR | 0o700, 0)
    return _ATTR.pack(node, length, length // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, PAGE, 0)
