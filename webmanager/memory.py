"""Memory of a web server that is given back to the kernel: glibc keeps what was freed, by hundreds of MB.

When all agents of many clusters come at once, as after a restart, each brings its configuration and reports; what that
took for a moment lies below something that stays, where glibc never gives it back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # malloc.h
_ARENAS = 2
_APART = 128 * 1024  # bytes: larger pieces go back as soon as they are freed
LOOK_S = 20.0
_WORTH_IT = 8 * 1024 * 1024  # bytes


_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Info(ctypes.Structure):
    """struct mallinfo2"""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS.split())


@functools.cache
def _libc() -> ctypes.CDLL | None:
    """None: not glibc, or an old one; then there is nothing to do here."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallinfo2.restype = _Info
        libc.malloc_trim.argtypes = [ctypes.c_size_t]
    except (OSError, AttributeError):
        return None
    return libc


def limit() -> None:
    """Before threads are started: glibc keeps memory for each of them, and large pieces once they were freed."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _APART)


def idle_bytes() -> int:
    """What was freed and is kept. Not all of it is real memory: some has been given back already."""
    libc = _libc()
    return libc.mallinfo2().fordblks if libc is not None else 0


def give_back() -> bool:
    """Some milliseconds for each 100 MB, without Python's lock. False: there was nothing worth it."""
    libc = _libc()
    if libc is None or idle_bytes() < _WORTH_IT:
        return False
    return bool(libc.malloc_trim(0))


async def watch() -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(give_back)
