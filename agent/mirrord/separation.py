"""The side that was separated for a backup: its disk stands still, and whoever changed it meanwhile is noticed.

Rules of this file
- Separated is only a side that is equal and not active: its disk is then what the applications had at that moment. It
  stays so, over restarts too, until it is told to join.
- Nothing of ours writes to a disk that is separated. So the kernel's count of what was written to it since it was
  switched on, or the time of the last change of a file, tells at the return whether somebody else has (a mount that was
  not read-only replays its journal): then no block can be trusted, and everything is copied.
- Another start of the machine counts anew. Nothing written since then, and nothing before it as far as we saw: what
  differs by the bitmap is copied, and both disks are compared afterwards, since nobody watched all the time.
- A separated side may be activated, as any other one, but not when its disk was changed; the backup ends with that.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.mirrord.disk import DiskError
from agent.mirrord.settings import Settings

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

# Of /sys/dev/block/M:m/stat: sectors written, and discarded (older kernels lack that). A flush counts as a write of no
# sectors, and changes nothing.
_COUNTED = (6, 13)

Judgement = Literal["untouched", "unseen", "touched"]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """How far a disk had been written. `counts` empty: nobody counts."""

    boot: str  # names the time since the machine was switched on; "" for a file, which remembers by itself
    disk: str
    counts: tuple[int, ...] = ()


def trace(fd: int, boot: str) -> Trace:
    """Of an open disk whose writes are flushed."""
    found = os.fstat(fd)
    if not stat.S_ISBLK(found.st_mode):
        return Trace(boot="", disk="file", counts=(found.st_mtime_ns, found.st_size))
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return Trace(boot=boot, disk=number, counts=_counts(f"/sys/dev/block/{number}"))


def _counts(place: str) -> tuple[int, ...]:
    try:
        for queue in ("queue", "../queue"):  # Of a disk, and of a partition of one.
            if os.path.exists(path := f"{place}/{queue}/iostats"):
                with open(path, encoding="ascii") as file:
                    if file.read(8).strip() == "0":
                        return ()
        with open(f"{place}/stat", encoding="ascii") as file:
            fields = [int(word) for word in file.read(1024).split()]
    except (OSError, ValueError):
        return ()
    return tuple(fields[at] for at in _COUNTED if at < len(fields))


def judge(before: Trace | None, now: Trace) -> Judgement:
    """Has anybody else written to the disk since `before`?"""
    if before is None or not before.counts or not now.counts:
        return "unseen"
    if before.boot == now.boot:
        return "untouched" if (before.disk, before.counts) == (now.disk, now.counts) else "touched"
    return "touched" if any(now.counts) else "unseen"


class RestoringError(DiskError):
    """An operator writes a backup to this disk."""

    def __init__(self, settings: Settings, since: float) -> None:
        super().__init__(
            f"A backup is being restored to {settings.data}; this side is not used until clprestore --post on "
            f"{settings.server} ends that."
        )
        self.since = since


class Separation:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def separated(self) -> bool:
        return bool(self._engine.partition.label.separated_at)

    def begin(self, then: Callable[[str], None]) -> None:
        """`then("")` when the disk stands still, which is written down; with a sentence when it cannot be."""
        engine = self._engine
        server, peer = engine.settings.server, engine.settings.peer
        if self.separated:
            then("")
        elif engine.ended:
            then(engine.error)
        elif engine.active:
            then(f"It is active on {server}. A backup is made of the other side, while {server} goes on.")
        elif engine.partition.label.isolated:
            then(f"The side of {server} was isolated by an operator: let it join first (clpmdctrl -r).")
        elif engine.side.relation != "equal":
            then(f"The disk of {server} is not the same as that of {peer} now; wait until both are GREEN.")
        else:
            engine.peer.stop("separated for a backup")
            engine.disk.flush(lambda error: self._stands_still(error, then))

    def _stands_still(self, error: OSError | None, then: Callable[[str], None]) -> None:
        engine = self._engine
        if error is not None or engine.ended:
            then(engine.error or f"Its disk could not be flushed: {error}.")
            return
        mark = trace(engine.disk.fd, engine.settings.boot)
        engine.note("info", "Separated for a backup: nothing is written to this disk until it joins again.")
        label = engine.partition.noted(isolated=True, separated_at=time.time(), trace=mark)
        engine.saves.put(label, lambda: then(""))
        engine.changed()

    def judged(self) -> Judgement:
        """Of a side that is separated."""
        engine = self._engine
        return judge(engine.partition.label.trace, trace(engine.disk.fd, engine.settings.boot))

    @property
    def hinders(self) -> str:
        """Why this side may not be activated; "" it may."""
        if not self.separated or self._engine.ended or self.judged() != "touched":
            return ""
        server = self._engine.settings.server
        return f"The disk of {server} was written to by somebody else while it was separated for a backup."

    def over(self) -> None:
        """It is activated: no backup can be made of it any more, and its disk is what it is from now on."""
        if self.separated:
            self._engine.note("warning", "The backup ends here: this side is activated.")
            self._engine.saves.put(self._engine.partition.noted(separated_at=0.0, trace=None))

    def end(self) -> Judgement | None:
        """Before it joins: what it needs. None: it was not separated."""
        if not self.separated:
            return None
        engine, found = self._engine, self.judged()
        if found == "touched":
            engine.note(
                "error",
                "The disk was written to by somebody else while it was separated, so everything is copied to it. Was "
                "it mounted writable?",
            )
            engine.carry_out(engine.side.discard())
        elif found == "unseen":
            engine.note("warning", "Nobody watched the disk all the time: both are compared as soon as they are equal.")
        engine.saves.put(engine.partition.noted(separated_at=0.0, trace=None, compare_due=found == "unseen"))
        return found

    def is_equal(self) -> None:
        """Both sides are (again)."""
        engine = self._engine
        if engine.partition.label.compare_due and engine.peer.facts is not None:  # It has said whether it is active.
            engine.saves.put(engine.partition.noted(compare_due=False))
            engine.verifier.begin(repair=True, then=lambda _: None)
