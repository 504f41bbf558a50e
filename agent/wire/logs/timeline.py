"""The notes of all servers as one timeline, by one clock, causes before effects; and the newest failover's part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from agent.wire.order import placed
from agent.wire.report import Note

# Of the evidence and the decisions of a failover: server down, group fails over, is moved, is started.
_FAILOVER = frozenset((("rc", 60), ("rc", 61), ("rc", 62), ("nm", 2)))
_BEFORE_S, _AFTER_S = 30.0, 120.0


class Clock(NamedTuple):
    """How far a server's clock is ahead of the collector's, and how sure that is."""

    ahead_s: float
    within_s: float


class Line(NamedTuple):
    at: float  # by the collector's clock
    note: Note


def read_notes(data: bytes) -> list[Note]:
    """Of an events.jsonl; what a crash cut in half is left out."""
    decoder = msgspec.json.Decoder(Note)
    notes = []
    for line in data.splitlines():
        try:
            notes.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return notes


def merge(notes: Iterable[Note], clocks: Mapping[str, Clock]) -> list[Line]:
    """Each note once. An effect never stands before its cause, however wrong the clocks are."""
    by_id = {note.id: note for note in notes}
    at = placed(by_id.values(), {server: clock.ahead_s for server, clock in clocks.items()})
    return [Line(at[note.id], note) for note in sorted(by_id.values(), key=lambda note: at[note.id])]


def newest_failover(lines: Sequence[Line]) -> list[Line]:
    """What belongs to the newest failover: from its evidence on; empty when there was none."""
    index = next((n for n in range(len(lines) - 1, -1, -1) if _is_failover(lines[n].note)), -1)
    if index < 0:
        return []
    at = lines[index].at
    by_id = {line.note.id: line for line in lines}
    begins, todo, seen = at, [lines[index].note.id], set()
    while todo:
        name = todo.pop()
        if name in by_id and name not in seen:
            seen.add(name)
            if at - by_id[name].at < 3600.0:
                begins = min(begins, by_id[name].at)
                todo += by_id[name].note.causes
    return [line for line in lines if min(begins, at - _BEFORE_S) <= line.at <= at + _AFTER_S]


def _is_failover(note: Note) -> bool:
    return (note.module, note.event) in _FAILOVER


def text(lines: Iterable[Line], clocks: Mapping[str, Clock]) -> str:
    """For people. Times are UTC by the collector's clock."""
    head = ["Times are UTC, by the clock of the server on which the logs were collected.\n"]
    for server, clock in sorted(clocks.items()):
        side = "ahead" if clock.ahead_s >= 0 else "behind"
        head.append(f"# The clock of {server} was {abs(clock.ahead_s):.4f} s {side} (within {clock.within_s:.4f} s).\n")
    return "# " + "".join(head) + "".join(map(_row, lines))


def _row(line: Line) -> str:
    note = line.note
    try:
        stamp = datetime.fromtimestamp(line.at, tz=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    except (OverflowError, ValueError, OSError):
        stamp = f"{line.at:.6f}"
    rule = f" [{note.rule}]" if note.rule else ""
    words = " ".join(note.text.split())
    return f"{stamp} {note.server} {note.severity.upper()} {note.module}:{note.event} {words}{rule}\n"


def jsonl(lines: Iterable[Line]) -> bytes:
    """For programs: each note with `at`, its time by one clock."""
    encode = msgspec.json.Encoder().encode
    return b"".join(encode({"at": line.at, **msgspec.to_builtins(line.note)}) + b"\n" for line in lines)
