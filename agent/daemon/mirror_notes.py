"""What of a mirror disk is worth a line of the log: what has changed from one state to the next.

Rules of this file
- The side that writes tells that it goes on alone, the side that gives tells of a copy: each thing is said once.
- Progress is told in quarters, and only of copies that take long.
- What a mirror process says again and again is said once a minute.
"""

from __future__ import annotations

import msgspec

from agent.daemon.complaints import Complaints
from agent.daemon.journal import Journal
from agent.messages import mirrors as md
from agent.wire.mirror import MirrorState, percent_of, size_text

_LONG_S = 30.0
_STALLED_S = 5.0
_SEVERITIES = {"info": md.INFO, "warning": md.WARNING, "error": md.ERROR}
# What an activation repeats while it waits.
_REPEATED = frozenset((md.WAITS, md.REFUSED, md.DIED))
_EMPTY = MirrorState()


class MirrorNotes:
    """Of one mirror disk on this server."""

    def __init__(self, journal: Journal, name: str, me: str, peer: str) -> None:
        self._journal = journal
        self._name, self._me, self._peer = name, me, peer
        self._before = _EMPTY
        self._stalled_since = 0.0  # 0.0: no; -1.0: it was told
        self._copy_since = 0.0
        self._quarter = 0
        self._broken = False  # this side has told that both are not the same
        self._complaints = Complaints(self._complain)

    def write(self, number: int, *params: str) -> None:
        if number in _REPEATED:
            self._journal.write_limited(60.0, number, "resource", self._name, *params, module="md")
        else:
            self._journal.write(number, "resource", self._name, *params, module="md")

    def said(self, now: float, severity: str, text: str) -> None:
        self._complaints.add(now, f"{severity}:{text}", severity, text)

    def _complain(self, severity: str, text: str) -> None:
        self.write(_SEVERITIES.get(severity, md.WARNING), self._name, self._me, text)

    def stood_down(self, why: str) -> None:
        self.write(md.STOOD_DOWN, self._name, self._me, why)

    def seen(self, now: float, state: MirrorState) -> None:
        """A new state."""
        before, self._before = self._before, state
        state_as = msgspec.structs.asdict(state)
        if state.mode == "alone" and before.mode not in ("alone", "copying"):
            self._broken = True
            self.write(md.ALONE, self._name, self._me, self._peer)
        self._stalled(now, state)
        self._copying(now, before, state, percent_of(state_as))
        if state.relation == "equal" and self._broken:
            self._broken = False
            self.write(md.EQUAL, self._name, self._me, self._peer)
        if state.relation == "foreign" and before.relation != "foreign" and state.constructed and state.doubt:
            self.write(md.SPLIT, self._name, self._me, state.doubt)
        found = int(state.verify.get("differs") or 0)
        if found and found != int(before.verify.get("differs") or 0):
            self.write(md.DIFFERS, self._name, size_text(found))
        if state.error and state.error != before.error:
            self.write(md.FAULT, self._name, self._me, state.error)

    def _stalled(self, now: float, state: MirrorState) -> None:
        if state.mode != "stalled":
            self._stalled_since = 0.0
        elif self._stalled_since == 0.0:
            self._stalled_since = now
        elif self._stalled_since > 0.0 and now - self._stalled_since >= _STALLED_S:
            self._stalled_since = -1.0
            self.write(md.STALLED, self._name, self._me, self._peer)

    def _copying(self, now: float, before: MirrorState, state: MirrorState, percent: float | None) -> None:
        if state.relation != "source":
            return
        size = max(state.to_copy, state.dirty)
        if before.relation != "source" and size:
            self._copy_since, self._quarter, self._broken = now, 0, True
            self.write(md.COPIES, self._name, self._me, self._peer, size_text(size))
        quarter = int((percent or 0.0) // 25)
        if self._quarter < quarter < 4 and now - self._copy_since >= _LONG_S:
            remaining = f"{state.remaining_s:.0f} s" if state.remaining_s is not None else ""
            self.write(md.PROGRESS, self._name, str(quarter * 25), remaining)
        self._quarter = max(self._quarter, quarter)
