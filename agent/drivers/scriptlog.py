"""The file that takes the output of a script, kept within a limit while processes write to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from agent.ports import DriverError

TAIL_CHARACTERS = 2000


class ScriptLog:
    """`offset`: where the output of this run begins."""

    def __init__(self, path: Path, limit_bytes: int, offset: int = 0) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._offset = offset

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor for the script. Every write goes to the end, also after `trim`."""
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.trim()
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise DriverError(f"cannot write the log {self.path}: {error.strerror or error}") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def trim(self) -> None:
        """Move what is there to <path>.1 when it is too long.

        By copying, as the processes keep the file open; what they write between the two steps is lost.
        """
        with contextlib.suppress(OSError):
            if self.path.stat().st_size > self._limit_bytes:
                self._copy()
                os.truncate(self.path, 0)

    def tail(self) -> str:
        """The end of what this run wrote, at most 2000 characters."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = self._offset if self._offset <= size else 0
                file.seek(max(begin, size - 4 * TAIL_CHARACTERS))
                text = file.read(4 * TAIL_CHARACTERS)
        except OSError:
            return ""
        return text.decode("utf-8", "replace")[-TAIL_CHARACTERS:]

    def _copy(self) -> None:
        """Its newest part only, should it have grown far beyond the limit between two looks."""
        with self.path.open("rb") as source, self.path.with_name(f"{self.path.name}.1").open("wb") as target:
            source.seek(-self._limit_bytes, os.SEEK_END)
            for _block in range(1 + self._limit_bytes // (1 << 16)):
                target.write(source.read(1 << 16))
