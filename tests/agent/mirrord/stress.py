"""Faults at random moments against real mirror processes, with a ledger.

Writers fill cells of the device with numbers and note what was acknowledged. Meanwhile processes are killed or paused,
a side is isolated, the applications move. After each move, and at the end, every cell holds its newest acknowledged
number, or a later one that was on its way; at the end both disks are the same.
By hand: `python -m tests.agent.mirrord.stress SEED ROUNDS`
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

from tests.agent.mirrord.processes import Mirror, Server

CELL = 4096
SIZE = 64 << 20
WRITERS = 3
_HEAD = struct.Struct("=QQ")


class Ledger:
    """Of cell numbers below `cells`; each writer has its own."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.acked = [0] * cells
        self.issued = [0] * cells

    def judge(self, cell: int, block: memoryview, when: str) -> None:
        number, place = _HEAD.unpack_from(block)
        assert place == (cell if number else 0), f"{when}: cell {cell} holds what was written to {place}"
        assert self.acked[cell] <= number <= self.issued[cell], (
            f"{when}: cell {cell} holds {number}; {self.acked[cell]} was acknowledged, {self.issued[cell]} written last"
        )


class Writer(threading.Thread):
    """Until `stop`, or an error of the device."""

    def __init__(self, device: str, ledger: Ledger, seed: int, which: int) -> None:
        super().__init__(daemon=True)
        self.device, self.ledger, self.which = device, ledger, which
        self.random = Random(seed)
        self.running = True
        self.error: OSError | None = None
        self.writes = 0

    def run(self) -> None:
        ledger, random = self.ledger, self.random
        try:
            fd = os.open(self.device, os.O_RDWR | os.O_DIRECT)
        except OSError as error:
            self.error = error
            return
        try:
            with mmap.mmap(-1, CELL) as buffer, memoryview(buffer) as view:
                while self.running:
                    count = random.choice((1, 1, 1, 2, 8))
                    # Mostly near each other, as a file system does it.
                    span = ledger.cells if random.random() < 0.1 else 512
                    first = random.randrange((span - count) // WRITERS) * WRITERS + self.which
                    self._write(fd, view, first, count)
                    if random.random() < 0.05:
                        os.fdatasync(fd)
        except OSError as error:
            self.error = error
        finally:
            os.close(fd)

    def _write(self, fd: int, view: memoryview, first: int, count: int) -> None:
        """Cells of one writer are WRITERS apart, so that no two writers have the same."""
        ledger = self.ledger
        for at in range(count):
            cell = first + at * WRITERS
            if cell >= ledger.cells:
                return
            ledger.issued[cell] += 1
            view[:] = _HEAD.pack(ledger.issued[cell], cell) * (CELL // _HEAD.size)
            os.pwrite(fd, view, cell * CELL)
            ledger.acked[cell] = ledger.issued[cell]
            self.writes += 1


class Stress:
    def __init__(self, directory: Path, seed: int) -> None:
        self.random, self.seed = Random(seed), seed
        self.mirror = Mirror(directory, SIZE, silent_s=1.0, keepalive_s=0.3)
        self.ledger = Ledger(SIZE // CELL)
        self.writers: list[Writer] = []
        self.counts: dict[str, int] = {}
        self.writes = 0
        self.active = self.mirror.a

    @property
    def other(self) -> Server:
        return self.mirror.b if self.active is self.mirror.a else self.mirror.a

    def run(self, rounds: int) -> None:
        mirror = self.mirror
        mirror.start()
        mirror.construct()
        mirror.activate(self.active)
        self.serve(self.active)
        for _ in range(rounds):
            kind = self.random.choice(
                ("kill_active", "kill_other", "kill_both", "move", "isolate", "pause", "fail_over")
            )
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.write_for(self.random.uniform(0.05, 0.4))
            getattr(self, f"_{kind}")()
            self.write_for(self.random.uniform(0.05, 0.2))
            if self.random.random() < 0.7:
                mirror.until(mirror.equal)
        self.end()

    # ---- the applications ----
    def serve(self, server: Server) -> None:
        self.active = server
        self.device = server.attach()
        self.check(self.device, f"on {server.name}")
        self.begin()

    def begin(self) -> None:
        self.writers = [
            Writer(self.device, self.ledger, self.random.randrange(1 << 30), which) for which in range(WRITERS)
        ]
        for writer in self.writers:
            writer.start()

    def write_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.mirror.turn()
        for writer in self.writers:
            assert writer.error is None, f"a write failed: {writer.error}; {self.mirror.story()}"

    def halt(self, *, wait: bool = True) -> None:
        for writer in self.writers:
            writer.running = False
        while wait and any(writer.is_alive() for writer in self.writers):
            self.mirror.turn()
        self.writes += sum(writer.writes for writer in self.writers)

    def check(self, path: str, when: str) -> None:
        """Every cell, as the applications see it."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        at = 0
        try:
            with mmap.mmap(-1, 1 << 20) as buffer, memoryview(buffer) as view:
                while at < SIZE:
                    assert os.preadv(fd, [view], at) == len(view)
                    for place in range(0, len(view), CELL):
                        self.ledger.judge((at + place) // CELL, view[place : place + CELL], when)
                    at += len(view)
        finally:
            os.close(fd)
        # What was read is there from now on.

    # ---- faults ----
    def _restart(self, server: Server) -> None:
        server.start()
        self.mirror.until(lambda: server.state)

    def _kill_active(self) -> None:
        """Its device waits for the next process."""
        self.active.end()
        self._restart(self.active)
        self.mirror.activate(self.active, again=True)

    def _kill_other(self) -> None:
        self.other.end()
        self.write_for(self.random.uniform(0, 0.3))
        self._restart(self.other)

    def _kill_both(self) -> None:
        self.active.end()
        self.other.end()
        self._restart(self.active)
        self._restart(self.other)
        self.mirror.activate(self.active, again=True)

    def _move(self) -> None:
        self.mirror.until(self.mirror.equal)
        self.halt()
        self.active.holder.detach()
        self.active.holder.end()
        self.mirror.deactivate(self.active)
        self.mirror.activate(self.other)
        self.serve(self.other)

    def _isolate(self) -> None:
        name = self.other.order("break")
        self.mirror.until(lambda: self.other.told("done", name))
        self.write_for(self.random.uniform(0, 0.3))
        self.other.order("join")

    def _pause(self) -> None:
        """The standby stands still for longer than the link waits."""
        self.other.pause(True)
        permitted = (self.mirror.epoch, 0)
        self.write_for(1.5)
        self.mirror.view(self.active, permitted)  # The cluster has left it out.
        self.write_for(0.3)
        self.other.pause(False)
        self.mirror.view(self.active)
        self.mirror.view(self.other, since=self._later())

    def _fail_over(self) -> None:
        """The active process stands still, its successor takes over, and it goes on as if nothing had been."""
        self.mirror.until(self.mirror.equal)
        old, new = self.active, self.other
        self.mirror.cut = True
        old.pause(True)
        self.mirror.activate(new, alone=True)
        self.halt(wait=False)
        stuck = self.writers
        self.serve(new)
        old.pause(False)
        self.mirror.cut = False
        self.mirror.view(new)
        self.mirror.view(old, since=self._later())
        self.mirror.until(lambda: not old.state.get("active"))
        old.take_away()
        for writer in stuck:
            writer.join(20)
            assert not writer.is_alive()
        name = old.order("deactivate")
        self.mirror.until(lambda: old.told("deactivated", name))

    def verify(self) -> None:
        """While the applications write."""
        name = self.active.order("verify")
        self.mirror.until(lambda: self.active.told("done", name) or self.active.told("failed", name))
        assert self.active.told("done", name), self.active.told("failed", name)
        self.mirror.until(lambda: self.active.state["verify"]["ended"])
        found = self.active.state["verify"]
        assert found["differing"] == 0, found
        assert found["proven_until"] + found["unproven"] == SIZE, found

    def _later(self) -> int:
        """Left out of a view, and in it again."""
        return self.mirror.epoch

    def end(self) -> None:
        self.mirror.until(self.mirror.equal)
        self.verify()
        self.halt()
        self.active.holder.detach()
        self.active.holder.end()
        self.mirror.deactivate(self.active)
        self.mirror.until(self.mirror.equal)
        assert self.mirror.a.image() == self.mirror.b.image(), "the disks differ"
        self.check(str(self.mirror.a.data), "at the end")


def play(directory: Path, seed: int, rounds: int) -> Stress:
    stress = Stress(directory, seed)
    try:
        stress.run(rounds)
    except BaseException:
        print(f"seed {seed}, {stress.counts}")
        print(stress.mirror.story())
        raise
    finally:
        stress.halt(wait=False)
        stress.mirror.close()
    return stress


def main() -> None:
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        stress = play(Path(directory), seed, rounds)
    print(f"seed {seed}: {stress.writes} writes acknowledged, {stress.counts}")


if __name__ == "__main__":
    main()
