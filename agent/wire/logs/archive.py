"""One archive of all servers' parts: a directory for each, one timeline by one clock, and the page of the cause."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.wire.logs.timeline import Clock, Line, jsonl, merge, newest_failover, read_notes, text
from agent.wire.report import Note

_EVENTS = ("log/events.jsonl", *(f"log/events.jsonl.{number}" for number in range(1, 4)))
_EVENTS_BYTES = 64 << 20  # of one server, unpacked
_MEMBERS = 5000
_ERRORS = 50


class Fetched(NamedTuple):
    """One server's part; `path` None: it could not be had, and `error` says why."""

    server: str
    path: Path | None
    clock: Clock | None
    error: str = ""


class Pages(NamedTuple):
    """What is told of a collection beside the files themselves."""

    cause: str
    notes: int


def write(out: Path, fetched: Sequence[Fetched], now: str, at: float, notes: Sequence[Note] = ()) -> Pages:
    """Whole or not at all, 0600. `now`: how the cluster is; `at`: when; `notes`: more of them, each counts once.
    Raises OSError."""
    clocks = {one.server: one.clock for one in fetched if one.clock is not None}
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    found = list(notes)
    try:
        with (
            open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive,
        ):
            for one in fetched:
                if one.path is None:
                    _add(archive, f"{one.server}/NOT_COLLECTED.txt", f"{one.error}\n".encode(), at)
                else:
                    found += _copy(archive, one.server, one.path, at)
            lines = merge(found, clocks)
            page = cause(lines, clocks, now)
            _add(archive, "timeline.txt", text(lines, clocks).encode(), at)
            _add(archive, "timeline.jsonl", jsonl(lines), at)
            _add(archive, "cause.txt", page.encode(), at)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return Pages(page, len(lines))


def cause(lines: Sequence[Line], clocks: dict[str, Clock], now: str) -> str:
    """What somebody wants to know first."""
    failover = newest_failover(lines)
    told = text(failover, clocks) if failover else "No server was lost and no group failed over.\n"
    errors = [line for line in lines if line.note.severity == "error"][-_ERRORS:]
    grave = text(errors, {}) if errors else "None.\n"
    return f"THE CLUSTER NOW\n\n{now}\nTHE NEWEST FAILOVER\n\n{told}\nTHE NEWEST ERRORS\n\n{grave}"


def _copy(archive: tarfile.TarFile, server: str, path: Path, at: float) -> list[Note]:
    """Its files below its name; only plain files are taken, and no path leads out of there."""
    notes: list[Note] = []
    left = _EVENTS_BYTES
    try:
        with tarfile.open(path, "r:gz") as source:
            for number, member in enumerate(source):
                name = os.path.normpath(member.name)
                data = source.extractfile(member) if member.isfile() else None
                if data is None or name.startswith(("/", "..")) or number >= _MEMBERS:
                    continue
                info = tarfile.TarInfo(f"{server}/{name}")
                info.size, info.mtime, info.mode = member.size, member.mtime, 0o600
                if name in _EVENTS and member.size <= left:
                    left -= member.size
                    raw = data.read()
                    notes += read_notes(raw)
                    archive.addfile(info, io.BytesIO(raw))
                else:
                    archive.addfile(info, data)
    except (tarfile.TarError, EOFError) as error:
        _add(archive, f"{server}/DAMAGED.txt", f"{error}\n".encode(), at)
    return notes


def _add(archive: tarfile.TarFile, name: str, data: bytes, at: float) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), int(at), 0o600
    archive.addfile(info, io.BytesIO(data))
