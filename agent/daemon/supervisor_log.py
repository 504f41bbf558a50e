"""The supervisor's own log: standard error (the journal) and a small file that never grows beyond two halves."""

from __future__ import annotations

import contextlib
import os
import sys
import time

LIMIT_BYTES = 512 << 10


class SupervisorLog:
    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, severity: str, text: str) -> None:
        """One line. A full disk or a closed terminal must not stop the supervisor."""
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
        line = f"{stamp} {severity.upper()} {' '.join(text.split())}\n"
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line)
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            if os.path.exists(self._path) and os.path.getsize(self._path) > LIMIT_BYTES:
                os.replace(self._path, f"{self._path}.1")
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)
