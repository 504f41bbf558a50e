"""Both disks compared while the applications write: digests of regions, the same moment meant on both sides.

Rules of this file
- The active side asks; without one, the side that was told to. It is begun only while both sides are equal.
- The question for a region stands on the link behind all writes into it that are done, and none is on its way when it
  is put. A write that begins there before both digests are known makes them worthless: the region is taken again, in
  grains when it is written to often. What cannot be caught at rest is reported as not proven, never as equal.
- What differs is reported. Only when ordered, the mind repairs it (`Side.repair`): the active side copies those grains.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from agent.mirrord import frames
from agent.mirrord.poller import Timer
from agent.wire.epoch import NO_EPOCH

if TYPE_CHECKING:
    from agent.mirrord.engine import Engine

REGION = 1 << 20
AT_ONCE = 2
TRIES = 3  # of a whole region, before it is taken in grains
GRAIN_TRIES = 30
RANGES = 64  # told to people
_BUSY_S = 0.005
_CALM_S = 0.05


class Region:
    __slots__ = ("mine", "offset", "seq", "stop", "theirs", "touched", "tries")

    def __init__(self, offset: int, stop: int, tries: int = 0) -> None:
        self.offset = offset
        self.stop = stop
        self.tries = tries
        self.seq = 0
        self.touched = False
        self.mine: bytes | None = None
        self.theirs: bytes | None = None


class Verifier:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.running = False
        self.repair = False
        self.began = 0.0
        self.ended = 0.0
        self.why = ""  # it ended before its time
        self.differing: list[tuple[int, int]] = []
        self.unproven = 0
        self.compared = 0
        self._at = 0
        self._again: deque[Region] = deque()
        self._out: dict[int, Region] = {}
        self._seq = 0
        self._timer: Timer | None = None
        self._repairing = False
        self._then: Callable[[str], None] = lambda _: None

    # ---- begin and end ----
    def begin(self, *, repair: bool, then: Callable[[str], None]) -> None:
        """`then("")` when all was compared; with a sentence: when it could not be."""
        engine = self._engine
        if self.running:
            then("A verification runs already.")
        elif engine.side.relation != "equal":
            then("Only equal disks can be verified: the mirror is broken or is being copied.")
        elif engine.peer.facts is not None and engine.peer.facts.active and not engine.active:
            engine.peer.send(frames.VERIFY_ORDER, 0, NO_EPOCH, 0, b"", 2 if repair else 1)
            then("")
        else:
            self._begin(repair, then)

    def ordered_by_peer(self, spare: int) -> None:
        if spare == 0:
            self.stop("It was ended by the operator.")
        elif not self.running and self._engine.side.relation == "equal":
            self._begin(spare == 2, lambda _: None)

    def _begin(self, repair: bool, then: Callable[[str], None]) -> None:
        self.running, self.repair, self._then = True, repair, then
        self.began, self.ended, self.why = time.time(), 0.0, ""
        self.differing, self.unproven, self.compared = [], 0, 0
        self._at = 0
        self._again.clear()
        self._out.clear()
        self._engine.note("info", "The verification of both disks begins.")
        self._more()

    def stop(self, why: str) -> None:
        if self.running:
            self._end(why)
        elif self._engine.peer.connected:
            self._engine.peer.send(frames.VERIFY_ORDER, 0, NO_EPOCH, 0, b"", 0)

    def parted(self) -> None:
        if self.running:
            self._end("The connection to the other server broke.")

    def _end(self, why: str) -> None:
        self.running, self.ended, self.why = False, time.time(), why
        self._again.clear()
        self._out.clear()
        engine = self._engine
        then, self._then = self._then, lambda _: None
        if why:
            engine.note("warning", f"The verification ended before its time: {why}")
        else:
            self._report()
        then(why)
        engine.changed()

    def _report(self) -> None:
        engine = self._engine
        differing = sum(length for _, length in self.differing)
        engine.saves.put(engine.partition.noted(verified_at=self.began, verified_differing=differing))
        if not differing:
            rest = f" {self.unproven} bytes were always being written to and are not proven." if self.unproven else ""
            engine.note("info", f"Verified: both disks are equal.{rest}")
            return
        engine.note("error", f"The verification found {differing} bytes that differ, in {len(self.differing)} places.")
        if self.repair and engine.active:
            self._repairing = True
            side = engine.side
            grains = (grain for place in self.differing for grain in side.writing.grains(*place))
            engine.carry_out(side.repair(grains))

    def is_equal(self) -> None:
        """Both sides are (again): what was copied because it differed does not any more."""
        if self._repairing:
            self._repairing, self.differing = False, []
            engine = self._engine
            engine.saves.put(engine.partition.noted(verified_differing=0))
            engine.note("info", "What the verification found to differ was copied anew.")

    # ---- asking ----
    def _soon(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._engine.poller.after(seconds, self._more)

    def _more(self) -> None:
        engine = self._engine
        while self.running and len(self._out) < AT_ONCE:
            region = self._next()
            if region is None:
                break
            self._ask(region)
        if not self.running:
            return
        if not self._out and not self._again and self._at >= engine.size:
            self._end("")
        elif len(self._out) < AT_ONCE:
            self._soon(_CALM_S)

    def _next(self) -> Region | None:
        engine = self._engine
        if self._at < engine.size:
            region = Region(self._at, min(self._at + max(REGION, engine.grain), engine.size))
            self._at = region.stop
            if not self._busy(region):
                return region
            self._later(region)
            return None
        for _ in range(len(self._again)):
            region = self._again.popleft()
            if not self._busy(region):
                return region
            self._later(region)
        return None

    def _busy(self, region: Region) -> bool:
        """A write into it is on its way."""
        writing = self._engine.side.writing
        grains = writing.grains(region.offset, region.stop - region.offset)
        return any(
            write.grains.start < grains.stop and grains.start < write.grains.stop
            for write in writing.on_its_way.values()
        )

    def _later(self, region: Region) -> None:
        """Taken again; a region that never rests in grains."""
        grain = self._engine.grain
        tries = region.tries + 1
        if region.stop - region.offset > grain and tries >= TRIES:
            for offset in range(region.offset, region.stop, grain):
                self._again.append(Region(offset, min(offset + grain, region.stop)))
        elif tries >= GRAIN_TRIES:
            self.unproven += region.stop - region.offset
        else:
            self._again.append(Region(region.offset, region.stop, tries))

    def _ask(self, region: Region) -> None:
        engine = self._engine
        self._seq += 1
        region.seq = self._seq
        self._out[region.seq] = region
        length = region.stop - region.offset
        engine.peer.send(frames.VERIFY, region.seq, NO_EPOCH, region.offset, b"", length)

        def done(digest: bytes | None, error: BaseException | None) -> None:
            region.mine = _known(digest, error)
            self._compare(region)

        engine.poller.work(lambda: _digest(engine.disk.get(region.offset, length)), done)

    def writes(self, seq: int) -> None:
        """A write of the application is carried out now."""
        if not self._out:
            return
        write = self._engine.side.writing.on_its_way.get(seq)
        if write is None:
            return
        grain = self._engine.grain
        for region in self._out.values():
            if write.grains.start * grain < region.stop and region.offset < write.grains.stop * grain:
                region.touched = True

    # ---- answering and comparing ----
    def answer(self, seq: int, offset: int, length: int) -> None:
        """A question of the other side."""
        engine = self._engine
        connection = engine.peer.connection

        def done(digest: bytes | None, error: BaseException | None) -> None:
            if connection == engine.peer.connection:
                engine.peer.send(frames.VERIFIED, seq, NO_EPOCH, offset, _known(digest, error))

        engine.disk.after_writes(lambda: engine.poller.work(lambda: _digest(engine.disk.get(offset, length)), done))

    def heard(self, seq: int, digest: bytes) -> None:
        region = self._out.get(seq)
        if region is not None:
            region.theirs = digest
            self._compare(region)

    def _compare(self, region: Region) -> None:
        if region.mine is None or region.theirs is None or self._out.pop(region.seq, None) is None:
            return
        engine = self._engine
        if region.touched:
            self._later(region)
        elif not region.mine or not region.theirs:
            self.unproven += region.stop - region.offset
        else:
            self.compared += region.stop - region.offset
            if region.mine != region.theirs:
                self._differs(region)
        busy = engine.poller.now() - engine.last_write < _BUSY_S * 10
        self._soon(_BUSY_S if busy else 0.0)

    def _differs(self, region: Region) -> None:
        grain = self._engine.grain
        if region.stop - region.offset > grain:
            self.compared -= region.stop - region.offset
            self._again.extend(
                Region(offset, min(offset + grain, region.stop)) for offset in range(region.offset, region.stop, grain)
            )
            return
        if self.differing and sum(self.differing[-1]) == region.offset:
            offset, length = self.differing[-1]
            self.differing[-1] = (offset, length + region.stop - region.offset)
        else:
            self.differing.append((region.offset, region.stop - region.offset))

    # ---- for people ----
    def state(self) -> dict[str, Any]:
        label = self._engine.partition.label
        return {
            "running": self.running,
            "began": self.began,
            "ended": self.ended,
            "why": self.why,
            "at": label.verified_at,
            "proven_until": self.compared,
            "differing": sum(length for _, length in self.differing) if self.began else label.verified_differing,
            "ranges": [list(pair) for pair in self.differing[:RANGES]],
            "unproven": self.unproven,
        }


def _digest(data: bytearray) -> bytes:
    return blake2b(data, digest_size=32).digest()


def _known(digest: bytes | None, error: BaseException | None) -> bytes:
    """Nothing: it could not be read."""
    if error is not None and not isinstance(error, OSError):
        raise error
    return digest if error is None and digest is not None else b""
