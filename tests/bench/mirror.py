"""mirror: what writing to two disks costs, beside the bare device, QEMU's storage daemon and GlusterFS.

Every round does each job with each of them, one after the other, on images on tmpfs: so the processors are the limit,
and what a mirror adds is seen. Ratios are of the same round; the tables show medians of rounds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.goals import Goal, Outcome, median
from tests.bench.mirror_peers import LIMIT_S, Bare, Gluster, Openclp, PassThrough, Peer, Qemu, missing, peers
from webmanager.demo.machine import BedError

ROUNDS, JOB_S = 7, 2.0
SIZE = 192 << 20
CHANGED = 64 << 20
MEMORY_MB = 40.0
Say = Callable[[str], None]


class Job(NamedTuple):
    name: str
    write: bool
    options: tuple[str, ...]
    share: float  # of the bare device that we want at least


JOBS = (
    Job("4 KiB write, qd 1", True, ("--rw=randwrite", "--bs=4k", "--iodepth=1"), 0.20),
    Job("4 KiB write + fsync, qd 1", True, ("--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1"), 0.20),
    Job("4 KiB write, qd 32", True, ("--rw=randwrite", "--bs=4k", "--iodepth=32"), 0.20),
    Job("1 MiB write", True, ("--rw=write", "--bs=1m", "--iodepth=1"), 0.25),
    Job("4 KiB read, qd 1", False, ("--rw=randread", "--bs=4k", "--iodepth=1"), 0.90),
    Job("4 KiB read, qd 32", False, ("--rw=randread", "--bs=4k", "--iodepth=32"), 0.90),
    Job("1 MiB read", False, ("--rw=read", "--bs=1m", "--iodepth=1"), 0.90),
)
_KINDS: tuple[type[Peer], ...] = (Bare, PassThrough, Openclp, Qemu, Gluster)
_NAMES = {
    "Bare": "bare device", "PassThrough": "our device, no mirror", "Openclp": "openclp", "Qemu": "QEMU, write-blocking",
    "Gluster": "GlusterFS, replica 2",
}  # fmt: skip
# Job and peer -> operations a second, one figure a round.
Figures = dict[tuple[str, str], list[float]]


def run(say: Say, *, quick: bool = False) -> Outcome:
    if os.geteuid() != 0:
        raise BedError("the mirror needs root: loop devices and FUSE")
    if shutil.which("fio") is None:
        raise BedError("there is no fio (package fio)")
    outcome = Outcome(
        "mirror: operations a second on images on tmpfs, both sides on this machine",
        ("job", "who", "ops/s", "us each", "of bare"),
    )
    absent = missing()
    kinds = [kind for kind in _KINDS if kind not in absent]
    outcome.notes += [f"{_NAMES[kind.__name__]} is left out: {why}." for kind, why in absent.items()]
    figures: Figures = {}
    place = Path(tempfile.mkdtemp(prefix="openclp-mirror-", dir="/dev/shm"))
    try:
        with peers(kinds, place, SIZE) as made:
            for number in range(1 if quick else ROUNDS):
                _round(made, figures, say, number, 0.5 if quick else JOB_S)
            ours = made["Openclp"]
            assert isinstance(ours, Openclp)
            _outage(ours, outcome)
            for who, size in ours.memory().items():
                outcome.goals.append(Goal(f"memory of the {who} process", size, MEMORY_MB, "40 MB", unit="MB"))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    _tell(outcome, figures, [kind.__name__ for kind in kinds])
    outcome.notes.append(
        "Latency of a real disk and of a real link is not in these figures; on tmpfs only processors count."
    )
    if Qemu in kinds:
        # Seen with strace -f -c -e fdatasync on both daemons.
        outcome.notes.append(
            "QEMU's mirror flushes only the disk that is written to, never the other one: its fsync is half the work, "
            "and half the promise."
        )
    return outcome


def _outage(ours: Openclp, outcome: Outcome) -> None:
    """What was written while the other side was away, and nothing else, is copied when it comes back."""
    ours.apart()
    command = ["fio", "--name=job", "--rw=write", "--bs=1m", f"--size={CHANGED}", *ours.target]
    ours.carry_on_while(command)
    seconds, copied = ours.again()
    changed = CHANGED / 1e6
    outcome.goals += [
        Goal("sent after an outage", copied, changed, "what was changed", factor=1.05, unit="MB"),
        Goal("of it not sent", max(changed - copied, 0.0), changed, "what was changed", factor=0.0, unit="MB"),
    ]
    outcome.notes.append(f"After an outage {copied:.0f} MB were sent in {seconds:.2f} s: {copied / seconds:.0f} MB/s.")


def _round(made: dict[str, Peer], figures: Figures, say: Say, number: int, job_s: float) -> None:
    for job in JOBS:
        for name, peer in made.items():
            peer.rest()
            rate = _fio(peer, job, job_s)
            say(f"round {number + 1}: {job.name}: {_NAMES[name]}: {rate:.0f}/s")
            figures.setdefault((job.name, name), []).append(rate)


def _fio(peer: Peer, job: Job, job_s: float) -> float:
    """Operations a second."""
    command = [
        "fio", "--name=job", "--output-format=json", "--randrepeat=0", "--time_based",
        f"--runtime={int(job_s * 1000)}ms", *peer.target, *job.options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=job_s + LIMIT_S)
    try:
        said = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]
    except (ValueError, LookupError):
        raise BedError(f"fio failed on {type(peer).__name__}: {done.stderr[-500:]}") from None
    if said["error"]:
        raise BedError(f"fio got error {said['error']} from {type(peer).__name__}: {done.stderr[-500:]}")
    return float(said["write" if job.write else "read"]["iops"])


def _tell(outcome: Outcome, figures: Figures, names: list[str]) -> None:
    for job in JOBS:
        for name in names:
            rates = figures[job.name, name]
            share = median([a / b for a, b in zip(rates, figures[job.name, "Bare"], strict=True)])
            outcome.rows.append([job.name, _NAMES[name], f"{median(rates):.0f}", f"{_each(rates):.0f}", f"{share:.2f}"])
        _judge(outcome, job, {name: _each(figures[job.name, name]) for name in names})


def _each(rates: list[float]) -> float:
    """Microseconds of one operation."""
    return 1e6 / median(rates)


def _judge(outcome: Outcome, job: Job, each: dict[str, float]) -> None:
    ours = each["Openclp"]
    if job.write:
        outcome.goals.append(
            Goal(f"{job.name}: time", ours, each["Bare"], "bare device", factor=1 / job.share, unit="us")
        )
        for rival, times in (("Qemu", 1.5), ("Gluster", 3.0)):
            goal = Goal(f"{job.name}: time", ours, each.get(rival), _NAMES[rival], factor=1 / times, unit="us")
            outcome.goals.append(goal)
    else:
        way = each["PassThrough"]
        goal = Goal(f"{job.name}: time", ours, way, _NAMES["PassThrough"], factor=1 / job.share, unit="us")
        outcome.goals.append(goal)
