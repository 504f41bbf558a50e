"""resync: how fast a side that was away is brought up again, what that leaves to who writes, and what travels.

The sides are in two networks of their own, joined by a cable, with a disk each; one of the two is the limit. Only what
the kernel lets through counts: a token bucket at both ends of the cable, or throttled disks (`limited.py`).
"""

from __future__ import annotations

import json
import mmap
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.mirrord.settings import GRAIN_BYTES
from tests.agent.mirrord.processes import Mirror
from tests.bench.goals import Goal, Outcome, median
from tests.bench.limited import LimitedDisk, Wire, cannot_limit_disks, limited_disks
from tests.bench.limited import run as command
from tests.bench.mirror_disk import carried, place
from webmanager.demo.machine import BedError

ROUNDS, WRITE_S, OUTAGE_S = 3, 4.0, 300.0
SIZE = 512 << 20
OVERHEAD_BYTES = 64 << 10  # of the reunion itself: greetings, bitmaps, heartbeats
CHANGES_S = 20  # changed blocks a second of an outage
LIMIT_S = 300.0
_BLOCK = 4096
Say = Callable[[str], None]


class Case(NamedTuple):
    name: str
    link: float  # bytes a second, 0: no limit
    disk: float

    @property
    def limit(self) -> float:
        return self.link or self.disk


CASES = (Case("link of 100 MB/s", 100e6, 0), Case("disks of 150 MB/s", 0, 150e6))
WRITERS = {
    "4 KiB write, qd 1": ("--rw=randwrite", "--bs=4k", "--iodepth=1"),
    "4 KiB write + fsync": ("--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1"),
    "1 MiB write, fsync each 8": ("--rw=write", "--bs=1m", "--iodepth=1", "--fsync=8"),
}
RESYNC, BESIDE = 0.80, 0.50  # that we want at least


def run(say: Say, *, quick: bool = False) -> Outcome:
    why = "it needs root: loop devices, FUSE and networks" if os.geteuid() else cannot_limit_disks()
    for program in ("fio", "tc", "nsenter"):
        why = why or ("" if shutil.which(program) else f"there is no {program}")
    if why:
        raise BedError(f"nothing can be limited: {why}")
    outcome = Outcome(
        "resync: MB/s and operations a second while a side is brought up", ("limit", "what", "rate", "share", "of")
    )
    with place() as directory, _bed(directory) as bed:
        for case in CASES:
            _case(bed, case, outcome, say, quick)
        _outage(bed, outcome, say, 5.0 if quick else OUTAGE_S)
    return outcome


class Apart(Mirror):
    """Each side in its network."""

    def __init__(self, directory: Path, size: int, wire: Wire) -> None:
        self.wire = wire
        super().__init__(directory, size)

    def address(self, name: str) -> str:
        return self.wire.address(name)

    def within(self, name: str) -> tuple[str, ...]:
        return self.wire.within(name)


class Bed(NamedTuple):
    mirror: Apart
    wire: Wire
    disks: dict[str, LimitedDisk]
    device: str

    def limit(self, case: Case | None) -> None:
        self.wire.limit(case.link if case else 0)
        for disk in self.disks.values():
            disk.limit(case.disk if case else 0)

    def rest(self) -> None:
        for disk in self.disks.values():
            disk.forget()

    def fio(self, *options: str) -> float:
        """Operations a second."""
        said = carried(self.mirror, [
            "fio", "--name=job", "--output-format=json", "--randrepeat=0", f"--filename={self.device}",
            "--ioengine=libaio", "--direct=1", f"--size={SIZE}", *options,
        ], together=False)  # fmt: skip
        found = json.loads(said)["jobs"][0]
        if found["error"]:
            raise BedError(f"fio got error {found['error']} from the mirror disk")
        return float(found["write"]["iops"])

    def part(self) -> None:
        """From now on `b` misses all that is written."""
        name = self.mirror.b.order("break")
        self.mirror.until(lambda: self.mirror.b.told("done", name))
        self.mirror.until(lambda: self.mirror.a.state["mode"] == "alone")

    def whole(self) -> bool:
        return self.mirror.equal() and self.mirror.a.state["mode"] == "mirrored"

    def different(self) -> None:
        """All of the disk, and nothing of it waits in memory."""
        self.limit(None)
        self.part()
        self.fio("--rw=write", "--bs=1m", "--iodepth=4", "--end_fsync=1")
        self.rest()


@contextmanager
def _bed(directory: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        wire = stack.enter_context(Wire())
        disks = stack.enter_context(limited_disks(directory, ("a", "b"), SIZE))
        mirror = Apart(directory, SIZE, wire)
        stack.callback(mirror.close)
        for server in (mirror.a, mirror.b):
            server.start(data=disks[server.name].data, partition=disks[server.name].cluster)
        mirror.until(lambda: mirror.a.state and mirror.b.state)
        mirror.construct()
        mirror.activate(mirror.a)
        yield Bed(mirror, wire, disks, mirror.a.attach())


def _case(bed: Bed, case: Case, outcome: Outcome, say: Say, quick: bool) -> None:
    rates: list[float] = []
    alone: dict[str, list[float]] = {name: [] for name in WRITERS}
    beside: dict[str, list[float]] = {name: [] for name in WRITERS}
    copied: list[float] = []
    for number in range(1 if quick else ROUNDS):
        bed.limit(case)
        for name, options in WRITERS.items():
            bed.rest()
            alone[name].append(bed.fio(*options, *_timed(quick)))
        bed.different()
        bed.limit(case)
        rates.append(SIZE / _together(bed))
        say(f"{case.name}: round {number + 1}: resync {rates[-1] / 1e6:.1f} MB/s")
        for name, options in WRITERS.items():
            bed.different()
            bed.limit(case)
            rate, copy = _beside(bed, options, quick)
            beside[name].append(rate)
            copied.append(copy)
            say(f"{case.name}: round {number + 1}: {name}: {rate:.0f}/s beside {copy / 1e6:.1f} MB/s of copies, "
                f"{alone[name][-1]:.0f}/s without")  # fmt: skip
    bed.limit(None)
    _tell(outcome, case, rates, alone, beside, copied)


def _timed(quick: bool) -> tuple[str, ...]:
    return ("--time_based", f"--runtime={int((1.0 if quick else WRITE_S) * 1000)}ms")


def _together(bed: Bed) -> float:
    """Seconds from the order to copy until both are equal."""
    begun = time.monotonic()
    bed.mirror.b.order("join")
    bed.mirror.until(bed.whole, LIMIT_S)
    return time.monotonic() - begun


def _beside(bed: Bed, options: tuple[str, ...], quick: bool) -> tuple[float, float]:
    """Operations a second of the application during a copy, and bytes a second of the copy during that."""
    bed.mirror.b.order("join")
    bed.mirror.until(lambda: bed.mirror.a.state["relation"] == "source")
    begun, before = time.monotonic(), bed.mirror.a.state["copied"]
    rate = bed.fio(*options, *_timed(quick))
    bed.mirror.turn(0.0)
    state, passed = bed.mirror.a.state, time.monotonic() - begun
    if state["relation"] != "source":
        raise BedError("the copy ended before the application did, so nothing was measured: the disk is too small")
    bed.mirror.until(bed.whole, LIMIT_S)
    return rate, (state["copied"] - before) / passed


def _tell(
    outcome: Outcome, case: Case, rates: list[float], alone: dict[str, list[float]], beside: dict[str, list[float]],
    copied: list[float],
) -> None:  # fmt: skip
    share = median(rates) / case.limit
    outcome.rows.append(
        [case.name, "resync, nobody writes", f"{median(rates) / 1e6:.1f} MB/s", f"{share:.2f}", "the limit"]
    )
    outcome.goals.append(
        Goal(
            f"resync of {SIZE >> 20} MiB, {case.name}",
            SIZE / median(rates),
            SIZE / case.limit,
            "the limit",
            1 / RESYNC,
            "s",
        )
    )
    for name, found in beside.items():
        share = median([rate / base for rate, base in zip(found, alone[name], strict=True)])
        outcome.rows.append(
            [case.name, name, f"{median(found):.0f}/s", f"{share:.2f}", f"{median(alone[name]):.0f}/s without a resync"]
        )
        each, base = 1e6 / median(found), 1e6 / median(alone[name])
        outcome.goals.append(Goal(f"{name}, {case.name}: time", each, base, "without a resync", 1 / BESIDE, "us"))
    share = median(copied) / case.limit
    outcome.rows.append(
        [case.name, "resync, somebody writes", f"{median(copied) / 1e6:.1f} MB/s", f"{share:.2f}", "the limit"]
    )


# ---- an outage ----
def _outage(bed: Bed, outcome: Outcome, say: Say, seconds: float) -> None:
    """The cable is pulled; what was changed meanwhile travels when it is back, and nothing else."""
    # What no flush has covered counts as missing there, and would rightly travel too.
    fd = os.open(bed.device, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    bed.wire.connected(False)
    bed.mirror.until(lambda: bed.mirror.a.state["mode"] == "alone")
    changed = _change(bed, seconds)
    say(f"outage of {seconds:g} s: {changed} grains were changed")
    before = _sent(bed.wire)
    begun, wanted = time.monotonic(), 0
    bed.wire.connected(True)

    def again() -> bool:
        nonlocal wanted
        wanted = max(wanted, bed.mirror.a.state["to_copy"])
        return bed.whole()

    bed.mirror.until(again, LIMIT_S)
    passed, sent = time.monotonic() - begun, _sent(bed.wire) - before
    say(f"the mirror process said:\n{bed.mirror.a.log()[-1000:]}")
    expected = changed * GRAIN_BYTES
    what = f"{changed} changed grains of {GRAIN_BYTES >> 10} KiB"
    outcome.goals += [
        Goal(f"to copy after {seconds:g} s without the other side", wanted / 1e6, expected / 1e6, what, 1.0, "MB"),
        Goal("sent through the cable for it", (sent - OVERHEAD_BYTES) / 1e6, expected / 1e6, what, 1.05, "MB"),
    ]
    outcome.notes.append(
        f"After {seconds:g} s without the cable both were equal {passed:.2f} s after it was back; "
        f"{wanted / 1e6:.1f} MB of {SIZE / 1e6:.0f} MB had to be copied, the cable carried {sent / 1e6:.1f} MB."
    )


def _change(bed: Bed, seconds: float) -> int:
    """Blocks all over the disk, steadily; the number of grains that they are in."""
    grains, order = set(), random.Random(6)
    fd = os.open(bed.device, os.O_RDWR | os.O_DIRECT)
    try:
        with mmap.mmap(-1, _BLOCK) as block:
            block[:] = order.randbytes(_BLOCK)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                offset = order.randrange(SIZE // _BLOCK) * _BLOCK
                os.pwritev(fd, [block], offset)
                grains.add(offset // GRAIN_BYTES)
                bed.mirror.turn(1 / CHANGES_S)
        os.fsync(fd)
    finally:
        os.close(fd)
    return len(grains)


def _sent(wire: Wire) -> int:
    """Bytes, as the kernel counts them, headers included."""
    said = json.loads(command(*wire.within("a"), "ip", "-statistics", "-json", "link", "show", "dev", "wire"))
    return int(said[0]["stats64"]["tx"]["bytes"])
