"""One stretch of a cluster's recorded states: the whole status, then numbered changes, compressed as it grows.

Rules of this file
- A tape is lines of JSON in one zlib stream: first {"at","status","agents"}, then [at, changes, agents or null, ids of
  the events that came with it]. A change is [kind, name, operations] (patches.py), or [kind, name] of what is gone.
- Every `cut` ends at a boundary that can be read: what follows may be missing without harm to what was cut before.
- Times grow strictly within a tape.
- What changes in measured figures alone is not written: they may be as old as the tape's beginning. All else is as it
  was at that instant. (At 32 servers figures would be 95 % of a tape, and who wants their course has the charts.)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from agent.wire.status import KINDS, Change, Status, apply
from webmanager.history.patches import difference, patched

_LEVEL = 6
_MEMORY = (14, 7)  # One stream a cluster stays open: half of zlib's usual 256 KB, for tapes that are 5 % longer.
_TICK_S = 1e-6
# A tape is cut off long before (recorder.py); more is none of ours, and is not unpacked.
_RAW_MOST = 64 * 1024 * 1024
_PART = 256 * 1024
_encode = msgspec.json.Encoder().encode
Agents = dict[str, bool]  # node -> whether it was connected


class Frame(NamedTuple):
    """The state from `at` on, and what changed it."""

    at: float
    status: Status
    changes: list[Change]
    agents: Agents
    events: list[str]  # ids of those that came with it


class Recorder:
    """Writes one tape."""

    def __init__(self, at: float, status: Status, agents: Agents) -> None:
        self.began = self.at = at
        self.frames = 0
        self.raw_bytes = 0  # unpacked, without the status with which it begins
        self.size_bytes = 0
        self._now: Status = {kind: dict(status[kind]) for kind in KINDS} | {"cluster": status["cluster"]}
        self._agents = agents
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, *_MEMORY)
        self._waiting: list[bytes] = []
        self._line({"at": at, "status": status, "agents": agents})
        self.raw_bytes = 0

    @property
    def now(self) -> tuple[Status, Agents]:
        """With every figure: the next tape begins with it."""
        return self._now, self._agents

    def add(self, at: float, changes: Sequence[Change], agents: Agents | None, events: Sequence[str] = ()) -> None:
        told = [written for change in changes if (written := self._take(*change)) is not None]
        if agents == self._agents:
            agents = None
        if not told and agents is None and not events:
            return
        self._agents = agents if agents is not None else self._agents
        self.at = max(at, self.at + _TICK_S)
        self.frames += 1
        self._line([self.at, told, agents, events])

    def _take(self, kind: str, name: str, new: Any) -> list[Any] | None:
        """The change as it is written; None: nothing has happened."""
        if kind != "cluster" and new is None:
            return [kind, name] if self._now[kind].pop(name, None) is not None else None
        old = self._now["cluster"] if kind == "cluster" else self._now[kind].get(name)
        if kind == "cluster":
            self._now["cluster"] = new
        else:
            self._now[kind][name] = new
        operations, loud = difference(old, new)
        return [kind, name, operations] if loud else None

    def _line(self, value: Any) -> None:
        line = _encode(value) + b"\n"
        self.raw_bytes += len(line)
        self._waiting.append(self._stream.compress(line))

    def cut(self) -> bytes:
        """What was added since the last cut; readable as far as it goes."""
        self._waiting.append(self._stream.flush(zlib.Z_SYNC_FLUSH))
        piece = b"".join(self._waiting)
        self._waiting = []
        self.size_bytes += len(piece)
        return piece


class TapeError(Exception):
    """The tape is not as it was written."""


def read(pieces: Iterable[bytes]) -> Iterator[Frame]:
    """Frame by frame, the first one with the whole status and no changes. Ends where the tape ends, however it was
    cut off. Raises TapeError."""
    lines = _lines(pieces)
    try:
        first = next(lines, None)
        if first is None:
            return
        status, agents = first["status"], first["agents"]
        yield Frame(first["at"], status, [], agents, [])
        for at, told, connected, events in lines:
            changes = [_whole(status, change) for change in told]
            status = apply(status, changes)
            agents = agents if connected is None else connected
            yield Frame(at, status, changes, agents, events)
    except (KeyError, TypeError, ValueError, msgspec.DecodeError, zlib.error) as error:
        raise TapeError(f"recorded states cannot be read: {error}") from error


def _whole(status: Status, change: list[Any]) -> Change:
    kind, name, *operations = change
    if not operations:
        return [kind, name, None]
    old = status["cluster"] if kind == "cluster" else status[kind].get(name)
    return [kind, name, patched(old, operations[0])]


def _lines(pieces: Iterable[bytes]) -> Iterator[Any]:
    stream, rest, total = zlib.decompressobj(), b"", 0
    for piece in pieces:
        # Also without input left there may be output that did not fit.
        while (part := stream.decompress(piece, _PART)) or stream.unconsumed_tail:
            piece = stream.unconsumed_tail
            *whole, rest = (rest + part).split(b"\n")
            total += sum(map(len, whole))
            if total + len(rest) > _RAW_MOST:
                raise ValueError(f"more than {_RAW_MOST} bytes")
            yield from map(msgspec.json.decode, whole)
