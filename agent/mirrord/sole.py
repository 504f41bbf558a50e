"""How a mirror process begins, whatever its engine: its settings, and the lock that makes it the only one."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import NoReturn

from agent.mirrord.settings import Settings, read


def claim(argv: list[str], module: str) -> tuple[Settings, int]:
    """The settings, and the lock's descriptor, which is kept open until the end. Says why not, and ends the process:
    2 without usable settings, 3 when another process serves this mirror."""
    if len(argv) != 2:
        _end(2, f"usage: python -m {module} SETTINGS.json")
    try:
        settings = read(argv[1])
    except (OSError, ValueError) as error:
        _end(2, f"{argv[1]} cannot be used: {error}")
    try:
        return settings, _lock(settings)
    except OSError as error:
        _end(3, f"Another process serves {settings.mirror}, or {settings.run}: {error}")


def _lock(settings: Settings) -> int:
    fd = os.open(settings.control + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def _end(code: int, why: str) -> NoReturn:
    print(why, file=sys.stderr)  # noqa: T201
    raise SystemExit(code)
