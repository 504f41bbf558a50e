"""mirrorfaults: rounds of faults against a mirror under ext4 and xfs; nothing acknowledged is lost, each fsck is clean.

A round: a service writes a ledger (each record synced before it is called durable) and fio writes files with checksums
and syncs; a fault happens and is mended; the mirror becomes equal by itself; the records and the last files of fio are
read on the server where the service is. Then the group is stopped, both disks are compared and their file systems
checked, it is started on the other server, and all is read there too. A round that fails keeps the logs of its servers,
and the next one begins in a new bed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.goals import Goal, Outcome, median
from tests.e2e.mirror import HEAL_S, POINT, MirrorStage
from tests.e2e.mirror_rounds import KINDS, Rounds
from tests.e2e.stage import GROUP
from webmanager.demo.bed import Bed, missing_programs
from webmanager.demo.configuration import Mirror
from webmanager.demo.machine import DISK, BedError, until

Say = Callable[[str], None]
ROUNDS = 100  # of each file system
QUICK_ROUNDS = len(KINDS)
# xfs refuses less than 300 MB, and to be mounted twice by one kernel, which the two servers of the bed share: a server
# that hangs has it mounted still when the other one takes over.
SYSTEMS = {"ext4": Mirror(), "xfs": Mirror(fs="xfs", size_mib=320, options="rw,nouuid")}
CHECKERS = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n", "-f")}
PROGRAMS = {"fio": "fio", "mkfs.xfs": "xfsprogs", "xfs_repair": "xfsprogs", "e2fsck": "e2fsprogs"}
FSCK_S, FIO_S = 120.0, 60.0
FILE_BYTES, BLOCK_BYTES = 256 << 10, 4096
KEPT_FILES = 24  # of fio; older ones are removed
CHECKED_FILES = 6  # of them, the last that were finished before the fault
FIO = (
    "fio", "--ioengine=psync", "--thread", "--rw=randwrite", f"--bs={BLOCK_BYTES}", f"--size={FILE_BYTES}",
    "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--minimal",
)  # fmt: skip
# One file after the other: written at random, synced, read back past the cache, and only then called finished.
LOADER = f"""
import os, subprocess, sys, time
point, said = "{POINT}", os.open("{DISK}/fio.said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
errors = open("{DISK}/fio.errors", "ab")
numbers = [int(name[4:]) for name in os.listdir(point) if name.startswith("fio.")]
number = max(numbers, default=0)
while True:
    number += 1
    words = [*{FIO!r}, "--fsync=4", "--end_fsync=1", "--direct=1",
             f"--name=f{{number}}", f"--filename={{point}}/fio.{{number}}", f"--randseed={{number}}"]
    if subprocess.call(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors) == 0:
        os.write(said, b"%07d\\n" % number)
    try:
        os.unlink(f"{{point}}/fio.{{number - {KEPT_FILES}}}")
    except OSError:
        pass
    time.sleep(0.2)
"""
BESIDE = f"{sys.executable} -I -S {DISK}/loader.py &\n"


class LostError(Exception):
    """What may never be: an acknowledged record or file that is not there, disks that differ, a damaged file system."""


@dataclass(slots=True)
class Tally:
    """Of one file system."""

    rounds: Counter[str] = field(default_factory=Counter)  # kind -> rounds that held
    failed: list[str] = field(default_factory=list)
    lost: int = 0
    records: int = 0
    files: int = 0  # of fio, verified; a file counts each time
    checks: int = 0  # of file systems
    takeovers: int = 0  # starts on the other server after a check; those that the faults made come on top
    moved: int = 0  # faults after which the service was on the other server
    heal_s: list[float] = field(default_factory=list)  # from the mending to equal and served


class Round:
    """What is done and looked at around one fault."""

    def __init__(self, stage: MirrorStage, rounds: Rounds, system: str, tally: Tally) -> None:
        self.stage, self.rounds, self.system, self.tally = stage, rounds, system, tally

    def play(self, kind: str) -> None:
        before = self.rounds.active
        self.rounds.fault(kind)
        start = time.monotonic()
        self._well()
        self.tally.heal_s.append(time.monotonic() - start)
        active = self.rounds.active
        self.tally.moved += active != before
        finished = self._read(active)
        self._stop(active)
        self._compare_and_check()
        successor = self.rounds.other(active)
        self.stage.cluster.run(successor, "clpgrp", "-s", GROUP, "-h", successor)
        self.tally.takeovers += 1
        self._well()
        self._verify(self.rounds.active, finished)
        self.tally.rounds[kind] += 1

    def _well(self) -> None:
        try:
            self.rounds.well()
        except AssertionError as error:
            raise LostError(f"records are missing: {error}") from error

    # ---- fio ----
    def _finished(self) -> list[int]:
        found: set[int] = set()
        for server in self.stage.bed.servers:
            with contextlib.suppress(FileNotFoundError):
                lines = (self.stage.cluster.disk(server) / "fio.said").read_bytes().split(b"\n")
                found |= {int(line) for line in lines[:-1]}
        return sorted(found)

    def _read(self, active: str) -> list[int]:
        """The last files that any server has called finished before now."""
        last = self._finished()[-CHECKED_FILES:]
        self._verify(active, last)
        self._no_error_of_fio()
        return last

    def _verify(self, server: str, numbers: list[int]) -> None:
        if not numbers:
            return
        words = [*FIO, "--verify_only"]
        for number in numbers:
            words += [f"--name=f{number}", f"--filename={POINT}/fio.{number}", f"--randseed={number}", "--direct=1"]
        missing = [n for n in numbers if not self.stage.bed[server].path(f"{POINT}/fio.{n}").exists()]
        if missing:
            raise LostError(f"files that fio had finished are not there: {missing}")
        done = self.stage.sh(server, " ".join(words), FIO_S)
        if done.code:
            raise LostError(f"fio --verify_only of {numbers} on {server}: {done.err[-600:]}")
        self.tally.files += len(numbers)

    def _no_error_of_fio(self) -> None:
        """It reads back what it has written; a device that fails because its server let go is no wrong data."""
        for server in self.stage.bed.servers:
            path = self.stage.cluster.disk(server) / "fio.errors"
            text = path.read_text(errors="replace") if path.exists() else ""
            if "verify failed" in text or "bad magic" in text:
                raise LostError(f"fio on {server} read what it had not written: {text[-600:]}")

    # ---- disks ----
    def _stop(self, server: str) -> None:
        """Both sides get the last writes; then nobody writes to either disk. That they are equal is looked at again:
        what a server said of itself before may have been said before the fault was noticed."""
        self.stage.cluster.run(server, "clpgrp", "-t", GROUP)

        def rests(side: dict[str, object]) -> bool:
            return not side.get("active", True) and side["relation"] == "equal"

        until(
            lambda: all(rests(self.stage.side(s)) for s in self.stage.bed.servers),
            "md1 is active nowhere and equal", HEAL_S, 0.1,
        )  # fmt: skip

    def _compare_and_check(self) -> None:
        disks = {s: self.stage.cluster.disk(s) / Path(SYSTEMS[self.system].data).name for s in self.stage.bed.servers}
        first, second = disks.values()
        if where := differing(first, second):
            raise LostError(f"the two disks differ in {len(where)} blocks of {BLOCK_BYTES}, first {where[:5]}")
        for server in disks:
            words = [*CHECKERS[self.system], SYSTEMS[self.system].data]
            done = self.stage.sh(server, " ".join(words), FSCK_S)
            if done.code:
                raise LostError(f"{words[0]} on {server} gave {done.code}: {(done.out + done.err)[-800:]}")
            self.tally.checks += 1


def differing(first: Path, second: Path) -> list[int]:
    """Numbers of blocks that are not the same in both files."""
    found = []
    step = 1 << 20
    with first.open("rb") as one, second.open("rb") as two:
        at = 0
        while True:
            a, b = one.read(step), two.read(step)
            if not a and not b:
                return found
            if a != b:
                found += [
                    (at + place) // BLOCK_BYTES
                    for place in range(0, max(len(a), len(b)), BLOCK_BYTES)
                    if a[place : place + BLOCK_BYTES] != b[place : place + BLOCK_BYTES]
                ]
            at += step


# ---- the bench ----
def run(say: Say, *, quick: bool = False, only: str = "", seeds: range | None = None) -> Outcome:
    """`only`: kinds of faults with this in their names; `seeds`: the first one, and how many rounds."""
    if os.geteuid() != 0:
        raise BedError("the mirror needs root: loop devices and FUSE")
    missing_programs(PROGRAMS)
    kinds = tuple(kind for kind in KINDS if only in kind)
    if not kinds:
        raise BedError(f"no kind of fault has {only!r} in its name; there are {', '.join(KINDS)}")
    count = len(seeds) if seeds is not None else QUICK_ROUNDS if quick else ROUNDS
    first = seeds[0] if seeds is not None else 1
    tallies = {system: Tally() for system in SYSTEMS}
    with contextlib.suppress(KeyboardInterrupt):  # What was found until then is told.
        for system, tally in tallies.items():
            _rounds(say, system, tally, kinds, range(first, first + count))
    return _outcome(tallies, kinds, count)


def _rounds(say: Say, system: str, tally: Tally, kinds: tuple[str, ...], numbers: range) -> None:
    waiting = list(numbers)
    while waiting:
        with _bed(system) as stage:
            rounds = Rounds(stage, waiting[0])
            while waiting:
                number = waiting.pop(0)
                kind = kinds[(number - 1) % len(kinds)]
                if not _one(say, Round(stage, rounds, system, tally), kind, f"{system} round {number}"):
                    break
            tally.records += len({record for server in stage.bed.servers for record in stage.said(server)})


@contextlib.contextmanager
def _bed(system: str) -> Iterator[MirrorStage]:
    with Bed(servers=2) as bed:
        stage = MirrorStage(bed, beside=BESIDE, mirror=SYSTEMS[system])
        for server in bed.servers:
            (stage.cluster.disk(server) / "loader.py").write_text(LOADER)
        with stage:
            yield stage


def _one(say: Say, round_: Round, kind: str, name: str) -> bool:
    start = time.monotonic()
    try:
        round_.play(kind)
    except (LostError, BedError, AssertionError) as error:
        kept = keep(round_.stage, round_.rounds, f"mirrorfaults-{name.replace(' ', '-')}")
        round_.tally.failed.append(f"{name}, {kind}: {error}; logs in {kept}")
        round_.tally.lost += isinstance(error, LostError)
        say(round_.tally.failed[-1])
        return False
    say(f"{name}: {kind}, held, equal again after {round_.tally.heal_s[-1]:.1f} s, "
        f"{time.monotonic() - start:.1f} s in all")  # fmt: skip
    return True


def keep(stage: MirrorStage, rounds: Rounds, name: str) -> Path:
    """Where what is needed to find out why is now."""
    place = Path(tempfile.mkdtemp(prefix=f"openclp-{name}-"))
    stage.cluster.save_logs(place)
    story = {"story": rounds.story, "error": traceback.format_exc()}
    with contextlib.suppress(BedError):
        status = stage.status()
        story |= {"groups": status["groups"], "mirrors": status["mirrors"], "servers": status["servers"]}
    (place / "story.json").write_text(json.dumps(story, indent=1, default=str))
    return place


def _outcome(tallies: dict[str, Tally], kinds: tuple[str, ...], wanted: int) -> Outcome:
    outcome = Outcome("mirrorfaults: rounds that held, by kind of fault", ("fault", *tallies))
    outcome.rows = [[kind, *(str(tally.rounds[kind]) for tally in tallies.values())] for kind in kinds]
    for words, value in (
        ("all rounds", lambda t: str(t.rounds.total())),
        ("service was on the other server after the fault", lambda t: str(t.moved)),
        ("started on the other server after a check", lambda t: str(t.takeovers)),
        ("records acknowledged", lambda t: str(t.records)),
        ("files of fio verified", lambda t: str(t.files)),
        ("file systems checked", lambda t: str(t.checks)),
        ("equal and served again, median s", lambda t: f"{median(t.heal_s):.1f}" if t.heal_s else "-"),
        ("longest s", lambda t: f"{max(t.heal_s):.1f}" if t.heal_s else "-"),
    ):
        outcome.rows.append([words, *(value(tally) for tally in tallies.values())])
    for system, tally in tallies.items():
        played = tally.rounds.total() + len(tally.failed)
        outcome.goals += [
            Goal(f"{system}: rounds with lost or damaged data", tally.lost, 0, "none"),
            Goal(f"{system}: rounds that did not become well", len(tally.failed) - tally.lost, 0, "none"),
            Goal(f"{system}: rounds not played", wanted - played, 0, "none"),
        ]
        outcome.notes += tally.failed
    return outcome
