"""mirrordisk: what a mirror leaves of a disk that is the limit, beside the same disk without a mirror.

Both sides, and the disk that is compared with, are loop devices on tmpfs that the kernel throttles (`limited.py`). A
job writes a fixed amount and flushes it in the end; the flush belongs to its time, so that nothing is hidden in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.agent.mirrord.processes import Mirror
from tests.bench.goals import Goal, Outcome, median
from tests.bench.limited import LimitedDisk, cannot_limit_disks, limited_disks
from webmanager.demo.machine import BedError

ROUNDS = 5
SIZE = 512 << 20
RATE = 150e6
OPERATIONS_S = 3000
SHARE = 0.90  # of the unmirrored disk that we want at least
LIMIT_S = 180.0
Say = Callable[[str], None]


class Job(NamedTuple):
    name: str
    options: tuple[str, ...]
    total: int  # bytes
    operations_s: int = 0  # besides the bytes a second

    @property
    def write(self) -> bool:
        return "write" in self.options[0]


JOBS = (
    Job("1 MiB write", ("--rw=write", "--bs=1m", "--iodepth=1"), 512 << 20),
    Job("4 KiB write, qd 32", ("--rw=randwrite", "--bs=4k", "--iodepth=32"), 256 << 20),
    Job("4 KiB write, qd 32, 3000/s", ("--rw=randwrite", "--bs=4k", "--iodepth=32"), 48 << 20, OPERATIONS_S),
    Job("4 KiB write, qd 1, 3000/s", ("--rw=randwrite", "--bs=4k", "--iodepth=1"), 48 << 20, OPERATIONS_S),
    Job("1 MiB read", ("--rw=read", "--bs=1m", "--iodepth=1"), 512 << 20),
    Job("4 KiB read, qd 32, 3000/s", ("--rw=randread", "--bs=4k", "--iodepth=32"), 48 << 20, OPERATIONS_S),
)
_BARE, _OURS = "unmirrored", "openclp"


def run(say: Say, *, quick: bool = False) -> Outcome:
    why = "it needs root: loop devices and FUSE" if os.geteuid() else cannot_limit_disks()
    if why or shutil.which("fio") is None:
        raise BedError(f"no disk can be limited: {why}" if why else "there is no fio (package fio)")
    outcome = Outcome(
        f"mirrordisk: on disks limited to {RATE / 1e6:.0f} MB/s, each of the two sides and the unmirrored one",
        ("job", "who", "MB/s", "ops/s", "of unmirrored"),
    )
    figures: dict[tuple[str, str], list[float]] = {}
    with place() as directory, _bed(directory) as bed:
        for number in range(1 if quick else ROUNDS):
            for job in JOBS:
                for who in (_BARE, _OURS) if number % 2 == 0 else (_OURS, _BARE):
                    _prepare(bed.disks, job)
                    rate = _fio(bed, bed.targets[who], job, job.total // 8 if quick else job.total)
                    say(f"round {number + 1}: {job.name}: {who}: {rate / 1e6:.1f} MB/s")
                    figures.setdefault((job.name, who), []).append(rate)
    _tell(outcome, figures)
    return outcome


@contextmanager
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="openclp-disk-", dir="/dev/shm"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Bed(NamedTuple):
    targets: dict[str, str]
    disks: dict[str, LimitedDisk]
    mirror: Mirror


@contextmanager
def _bed(directory: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        disks = stack.enter_context(limited_disks(directory, ("bare", "a", "b"), SIZE))
        mirror = Mirror(directory, SIZE)
        stack.callback(mirror.close)
        for server in (mirror.a, mirror.b):
            server.start(data=disks[server.name].data, partition=disks[server.name].cluster)
        mirror.until(lambda: mirror.a.state and mirror.b.state)
        mirror.construct()
        mirror.activate(mirror.a)
        yield Bed({_BARE: disks["bare"].data, _OURS: mirror.a.attach()}, disks, mirror)


def _prepare(disks: dict[str, LimitedDisk], job: Job) -> None:
    """Nothing of the job before is left in memory, neither to be written nor to be read."""
    for disk in disks.values():
        disk.limit(0)
        disk.forget()
        disk.limit(RATE, job.operations_s)


def _fio(bed: Bed, device: str, job: Job, total: int) -> float:
    """Bytes a second, the flush in the end included."""
    command = [
        "fio", "--name=job", "--output-format=json", "--randrepeat=0", f"--filename={device}", "--ioengine=libaio",
        "--direct=1", f"--size={SIZE}", f"--io_size={total}", *job.options, *(["--end_fsync=1"] if job.write else []),
    ]  # fmt: skip
    said = json.loads(carried(bed.mirror, command))["jobs"][0]
    way = said["write" if job.write else "read"]
    if said["error"] or way["io_bytes"] < total:
        raise BedError(f"fio got error {said['error']} from {device}")
    return float(way["io_bytes"]) / float(way["runtime"]) * 1e3


def carried(mirror: Mirror, command: list[str], *, together: bool = True) -> str:
    """What the command says; meanwhile what the sides ask each other is carried. `together`: neither may get lost."""
    with tempfile.TemporaryFile("w+") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            mirror.until(lambda: process.poll() is not None, LIMIT_S)
        finally:
            process.kill()
        out.seek(0)
        said = out.read()
    if process.returncode or "{" not in said:
        raise BedError(f"{command[0]} failed: {said[-500:]}")
    if together and not mirror.equal():
        raise BedError(f"the sides lost each other, so nothing was measured: {mirror.story()[-1000:]}")
    return said[said.index("{") :]


def _tell(outcome: Outcome, figures: dict[tuple[str, str], list[float]]) -> None:
    for job in JOBS:
        bare, ours = figures[job.name, _BARE], figures[job.name, _OURS]
        block = 1 << 20 if "--bs=1m" in job.options else 4096
        for who, rates in ((_BARE, bare), (_OURS, ours)):
            share = median([rate / base for rate, base in zip(rates, bare, strict=True)])
            rate = median(rates)
            outcome.rows.append([job.name, who, f"{rate / 1e6:.1f}", f"{rate / block:.0f}", f"{share:.2f}"])
        each, base = (1e6 * block / median(rates) for rates in (ours, bare))
        outcome.goals.append(Goal(f"{job.name}: time", each, base, "unmirrored disk", factor=1 / SHARE, unit="us"))
    outcome.notes += [
        "Where only bytes are limited, the unmirrored disk takes 36 600 writes of 4 KiB a second, more than disks of "
        "150 MB/s do: that row is a question of the processors. 3000/s is what such a disk in a cloud does.",
    ]
