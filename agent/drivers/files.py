"""Files that are whole or absent, whenever the machine stops."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_libc = ctypes.CDLL(None)


def write_atomic(path: Path, data: bytes, *, durable: bool, mode: int = 0o600) -> None:
    """Readers see the old file or the new one, never a part. `durable`: it survives a power cut once this returns.

    Without `durable` it survives the death of any process, which is what a restarted daemon needs.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, data, durable=durable, mode=mode)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if durable:
        # The new name itself lives in the directory.
        _sync_directory(path.parent)


def write_quick(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """As without `durable`, in some 0.05 ms. After a power cut the file may be empty or full of zeros (`is_lost`).

    A file system that fears for such files (ext4) begins to write one when it takes the place of another, and whoever
    replaces it waits for milliseconds; when both change their names it does not.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write(temporary, data, durable=False, mode=mode)
        if path.is_file() and _exchange(temporary, path):
            temporary.unlink()
        else:
            temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def is_lost(data: bytes) -> bool:
    """What write_quick wrote before a power cut."""
    return not data.strip(b"\0")


def _exchange(one: Path, other: Path) -> bool:
    """False where the file system or the C library cannot."""
    rename = getattr(_libc, "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _write(path: Path, data: bytes, *, durable: bool, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_limited(path: Path, limit_bytes: int) -> bytes | None:
    """The whole file, None when there is none; ValueError when it is larger than anything we wrote."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit_bytes:
        raise ValueError(f"{path} is larger than {limit_bytes} bytes; it was not written by this program.")
    return data
