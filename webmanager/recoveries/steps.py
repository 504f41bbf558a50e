"""The steps of a recovery: resources activated and deactivated, servers forced off, groups that wait for others."""

from __future__ import annotations

import msgspec

from agent.wire.report import Note

# (module, event) -> (kind, whether it begins or ends, result)
_BEGINS = {
    ("rc", 30): "activate", ("rc", 40): "deactivate", ("rc", 80): "activate", ("rc", 15): "wait", ("rc", 25): "wait",
}  # fmt: skip
_ENDS = {
    ("rc", 31): ("activate", "ok"), ("rc", 32): ("activate", "failed"), ("rc", 41): ("deactivate", "ok"),
    ("rc", 42): ("deactivate", "failed"), ("rc", 81): ("activate", "ok"), ("rc", 82): ("activate", "failed"),
    ("rc", 16): ("wait", "ok"), ("rc", 17): ("wait", "failed"),
    ("rc", 26): ("wait", "ok"), ("rc", 27): ("wait", "failed"),
}  # fmt: skip
_AGAIN = (("rc", 200), ("rc", 220))  # The same step is tried again.


class Step(msgspec.Struct, kw_only=True):
    kind: str  # activate, deactivate, wait, fence
    name: str
    server: str
    begun: float
    ended: float | None = None  # None: it goes on
    result: str = "running"  # ok, failed, cut: the recovery ended before it did
    tries: int = 1


class Steps:
    """Of one recovery."""

    def __init__(self) -> None:
        self._all: list[Step] = []
        self._open: dict[tuple[str, str, str], Step] = {}  # (kind, name, server)

    def take(self, at: float, note: Note) -> None:
        event = (note.module, note.event)
        if kind := _BEGINS.get(event):
            step = Step(kind=kind, name=note.name, server=note.server, begun=at)
            self._open[kind, note.name, note.server] = step
            self._all.append(step)
        elif event in _ENDS:
            kind, result = _ENDS[event]
            if step := self._open.pop((kind, note.name, note.server), None):
                step.ended, step.result = max(at, step.begun), result
        elif event in _AGAIN:
            kind = "activate" if note.event == 200 else "deactivate"
            if step := self._open.get((kind, note.name, note.server)):
                step.tries += 1

    def fence(self, at: float, note: Note) -> None:
        """A server that is forced off: written about the server, not about the group."""
        server = note.params[0] if note.params else ""
        device = note.params[1] if len(note.params) > 1 else ""
        if note.event == 400:
            self._open["fence", device, server] = Step(kind="fence", name=device, server=server, begun=at)
            self._all.append(self._open["fence", device, server])
        elif step := self._open.pop(("fence", device, server), None):
            step.ended, step.result = max(at, step.begun), "ok" if note.event == 401 else "failed"

    def running(self) -> bool:
        return bool(self._open)

    def left_out(self) -> list[str]:
        """Resources whose last step took them down."""
        last = {step.name: step.kind for step in self._all if step.kind in ("activate", "deactivate")}
        return [name for name, kind in last.items() if kind == "deactivate"]

    def all(self, ended: float | None) -> list[Step]:
        """What had not ended when the recovery did never will."""
        if ended is not None:
            for step in self._open.values():
                step.ended, step.result = max(ended, step.begun), "cut"
            self._open = {}
        return list(self._all)
