"""Follows events.jsonl as the daemon writes it: whole lines only, over its rotations, from where a cursor stands."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from agent.daemon.alert_store import Cursor
from agent.daemon.journal import KEEP
from agent.wire.report import Note

_CHUNK = 256 << 10


class JournalTail:
    def __init__(self, path: Path, cursor: Cursor | None) -> None:
        self._path = path
        self._decoder = msgspec.json.Decoder(Note)
        self._fd = -1
        self._offset = 0
        self._inode = 0
        if cursor is not None:
            self._find(cursor)

    def read(self) -> tuple[list[Note], Cursor | None]:
        """What is new, some at a time (call again until nothing comes), and where that ends. OSError goes up."""
        notes: list[Note] = []
        while True:
            if self._fd < 0 and not self._open(self._next()):
                break
            data = os.pread(self._fd, _CHUNK, self._offset)
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) == _CHUNK:
                whole = len(data)  # No note is so long.
            if whole:
                self._offset += whole
                notes = [note for line in data[:whole].splitlines() if (note := self._note(line)) is not None]
                break
            if self._is_current():
                break
            # The daemon goes on in another file, and has written all that it will into this one.
            if not os.pread(self._fd, _CHUNK, self._offset).endswith(b"\n"):
                self._leave()
        return notes, Cursor(self._inode, self._offset) if self._inode else None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _note(self, line: bytes) -> Note | None:
        """None for what a crash cut in half."""
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _files(self) -> list[Path]:
        """The newest first."""
        return [self._path, *(self._path.with_name(f"{self._path.name}.{number}") for number in range(1, KEEP + 1))]

    def _find(self, cursor: Cursor) -> None:
        """Where it stood; at the beginning of the oldest file when that one is gone."""
        for path in self._files():
            if _inode(path) == cursor.inode and self._open(path):
                self._offset = cursor.offset if os.fstat(self._fd).st_size >= cursor.offset else 0
                return

    def _next(self) -> Path | None:
        """The file that follows the one that was read last."""
        files = [path for path in self._files() if path.exists()]
        for number, path in enumerate(files):
            if self._inode and _inode(path) == self._inode:
                return files[number - 1] if number else None
        return files[-1] if files else None

    def _open(self, path: Path | None) -> bool:
        if path is None:
            return False
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._inode, self._offset = os.fstat(self._fd).st_ino, 0
        return True

    def _is_current(self) -> bool:
        inode = _inode(self._path)
        return inode in (0, self._inode)

    def _leave(self) -> None:
        self.close()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
