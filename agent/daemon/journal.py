"""What happened, on disk: events.jsonl for programs, agent.log for people, and the newest notes in memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from agent.messages.catalog import render, severity
from agent.messages.template import Severity
from agent.wire.report import Note, NoteKind

MEMORY_NOTES = 1000
EVENTS_BYTES = 8 << 20
LOG_BYTES = 4 << 20
KEEP = 3  # older files: agent.log.1 is the youngest
_TAIL_BYTES = 512 << 10
_LIMITED = 1000  # subjects whose last note is remembered


class RotatingFile:
    """Appends lines; a full disk loses lines and nothing else."""

    def __init__(self, path: Path, limit_bytes: int, keep: int = KEEP) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._fd = -1
        self._size_bytes = 0
        self.lost = 0

    def append(self, line: bytes) -> None:
        try:
            if self._fd < 0:
                self._open()
            if self._size_bytes + len(line) > self._limit_bytes and self._size_bytes:
                self._rotate()
            self._size_bytes += os.write(self._fd, line)
        except OSError:
            self.lost += 1
            self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size_bytes = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._open()


def read_tail(path: Path, count: int) -> list[Note]:
    """The newest notes of an events.jsonl; lines that a crash cut in half are left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).splitlines()
    except OSError:
        return []
    decoder = msgspec.json.Decoder(Note)
    notes = []
    for line in lines[-count:]:
        try:
            notes.append(decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return notes


def human_line(note: Note) -> str:
    """One line of agent.log, in the server's local time."""
    at = datetime.fromtimestamp(note.time, tz=UTC).astimezone()
    stamp = at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"
    text = " ".join(note.text.split("\n"))
    return f"{stamp} {note.server} {note.severity.upper()} {note.module}:{note.event} {text}\n"


def append_line(directory: Path, server: str, text: str) -> None:
    """One line of agent.log before there is a journal."""
    note = Note(id="", time=time.time(), server=server, module="pm", event=11, severity="error", kind="server",
                name=server, text=text)  # fmt: skip
    log = RotatingFile(directory / "agent.log", LOG_BYTES)
    log.append(human_line(note).encode("utf-8", "replace"))
    log.close()


class Journal:
    """All notes of this agent, the engine's and the shell's own, in the order in which they were made."""

    def __init__(self, directory: Path, *, server: str, incarnation: int, now: Callable[[], float]) -> None:
        self._server = server
        self._now = now
        self._owner = f"{server}:{incarnation}:"
        self._prefix = f"{self._owner}d{os.getpid()}."  # "d": daemon; the engine numbers its own notes.
        self._count = 0
        self._limited: dict[str, tuple[float, int]] = {}
        self._events = RotatingFile(directory / "events.jsonl", EVENTS_BYTES)
        self._log = RotatingFile(directory / "agent.log", LOG_BYTES)
        self._encoder = msgspec.json.Encoder()
        self.notes: deque[Note] = deque(read_tail(directory / "events.jsonl", MEMORY_NOTES), maxlen=MEMORY_NOTES)
        self.written_to: Callable[[Severity], None] | None = None  # who tells people of what is added
        self.total = len(self.notes)  # of all notes ever put into `notes`; lets a reader see how many are new to it

    def add(self, note: Note) -> None:
        self.notes.append(note)
        self.total += 1
        self._events.append(self._encoder.encode(note) + b"\n")
        self._log.append(human_line(note).encode())
        if self.written_to is not None:
            self.written_to(note.severity)

    def highest(self, known: int) -> int:
        """The number of the newest note of the engine in this incarnation; `known` when it is higher.

        The engine's own count is saved with its state, not with each note.
        """
        numbers = [n.id[len(self._owner) :] for n in self.notes if n.id.startswith(self._owner)]
        return max([known, *(int(n) for n in numbers if n.isdigit())])

    def newest(self, count: int) -> list[Note]:
        return list(self.notes)[-count:] if count > 0 else []

    def since(self, total: int) -> list[Note]:
        """Notes added after the time when `total` was read."""
        return self.newest(min(self.total - total, len(self.notes)))

    def after(self, note_id: str, limit: int) -> list[Note]:
        """At most `limit` notes that follow the one named; the newest ones when it is unknown or empty."""
        notes = list(self.notes)
        for index, note in enumerate(notes):
            if note.id == note_id:
                return notes[index + 1 :][:limit]
        return notes[-limit:]

    def write(self, event: int, kind: NoteKind, name: str, *params: str, module: str = "cp") -> None:
        """A note of the daemon itself; its sentence comes from the message catalog. Reasons may end in a full stop."""
        self._count += 1
        params = tuple(p.rstrip(".") for p in params)
        self.add(
            Note(
                id=f"{self._prefix}{self._count}", time=self._now(), server=self._server, module=module, event=event,
                severity=severity(module, event), kind=kind, name=name, text=render(module, event, params),
                params=params,
            )
        )  # fmt: skip

    def written(self, module: str, event: int, level: Severity, text: str, *params: str) -> None:
        """A note in somebody else's words."""
        self._count += 1
        self.add(
            Note(
                id=f"{self._prefix}{self._count}", time=self._now(), server=self._server, module=module, event=event,
                severity=level, kind="server", name=self._server, text=text, params=(text, *params),
            )
        )  # fmt: skip

    def write_limited(
        self, every_s: float, event: int, kind: NoteKind, name: str, *params: str, module: str = "cp"
    ) -> None:
        """As `write`, but the same event about the same name at most once in `every_s`; says how many were left out."""
        key = f"{module}:{event}:{name}"
        now = time.monotonic()
        last, left_out = self._limited.get(key, (-every_s, 0))
        if now - last < every_s:
            self._limited[key] = (last, left_out + 1)
            return
        if len(self._limited) > _LIMITED:
            self._limited.clear()
        self._limited[key] = (now, 0)
        if left_out:
            params = (*params[:-1], f"{params[-1].rstrip('.')} ({left_out} more like this since the last note)")
        self.write(event, kind, name, *params, module=module)

    def line(self, level: Severity, text: str) -> None:
        """A line for agent.log alone: details for whoever repairs this program (tracebacks)."""
        at = human_line(
            Note(id="", time=self._now(), server=self._server, module="pm", event=0, severity=level, kind="server",
                 name=self._server, text="")
        )  # fmt: skip
        self._log.append((at.rstrip("\n") + text.rstrip("\n") + "\n").encode("utf-8", "replace"))

    def close(self) -> None:
        self._events.close()
        self._log.close()
