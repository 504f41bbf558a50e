"""idle: memory and CPU of everything that one server runs for its cluster while nothing happens."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.goals import Goal, Outcome
from tests.bench.rivals import (
    PRIVATE,
    Keepalived,
    Openclp,
    Pacemaker,
    Rival,
    raise_cluster,
    why_without_keepalived,
    why_without_pacemaker,
)
from tests.bench.web import free_ports
from webmanager.demo.bed import Bed
from webmanager.demo.console import Console
from webmanager.demo.machine import BedError, until

LONG_S = 60.0
MEMORY_MB = 40.0
CPU_PERCENT = 1.0
ALERTS = "agent.daemon.alertd"
REST_S = 60.0
MB = 1e6
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Idle:
    processes: int
    pss: float  # bytes, as the kernel counts it: what several servers of the bed share is divided among them
    alone: float  # bytes of a server that shares with nobody: each shared page counts in full, once
    cpu_percent: float  # of one core


def run(say: Say, *, quick: bool) -> Outcome:
    seconds = 10.0 if quick else LONG_S
    out = Outcome(
        f"idle: all processes of one server of three, {seconds:.0f} s in which nothing happens",
        ("", "processes", "PSS MB", "alone MB", "CPU %", "CPU s/min"),
    )
    found: dict[str, Idle] = {}
    with Bed(private=PRIVATE) as bed:
        for key, rival, why_not in _rivals(bed):
            if why_not:
                out.notes.append(f"{rival.name} is skipped: {why_not}.")
                continue
            try:
                found[key] = _with_manager(bed, rival, seconds, say) if key == "manager" else idle(bed, rival, seconds)
            except BedError as error:
                out.notes.append(f"{rival.name} failed: {error}.")
                continue
            out.rows.append(_row(rival.name, found[key]))
            say(" ".join(out.rows[-1]))
    out.goals = _goals(found)
    return out


def _rivals(bed: Bed) -> list[tuple[str, Rival, str]]:
    watched = Openclp(bed, 100, 500, services=True, groups=2)
    watched.name += ", with manager"
    return [
        ("openclp", Openclp(bed, 100, 500, services=True, groups=2), ""),
        ("manager", watched, ""),
        ("keepalived", Keepalived(bed, 100, 500), why_without_keepalived()),
        ("pacemaker", Pacemaker(bed, 500), why_without_pacemaker()),
    ]


def _goals(found: dict[str, Idle]) -> list[Goal]:
    pacemaker = found.get("pacemaker")
    goals = []
    for key, name in (("openclp", "openclp"), ("manager", "openclp with manager")):
        one = found.get(key)
        memory, cpu = (one.pss / MB, one.cpu_percent) if one else (float("inf"), float("inf"))
        goals += [
            Goal(f"{name}: memory (PSS)", memory, MEMORY_MB, "the original's agent", 1.0, "MB"),
            Goal(f"{name}: CPU", cpu, CPU_PERCENT, "goal", 1.0, "%"),
        ]
        if pacemaker:
            goals.append(Goal(f"{name}: memory (PSS)", memory, pacemaker.pss / MB, "corosync+pacemaker", 1.0, "MB"))
    return goals


def _row(name: str, one: Idle) -> list[str]:
    memory = [f"{one.pss / MB:.1f}", f"{one.alone / MB:.1f}"]
    return [name, str(one.processes), *memory, f"{one.cpu_percent:.2f}", f"{one.cpu_percent * 0.6:.2f}"]


def _with_manager(bed: Bed, rival: Rival, seconds: float, say: Say) -> Idle:
    assert isinstance(rival, Openclp)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        data = Path(directory) / "manager"
        data.mkdir(mode=0o700)
        with contextlib.closing(Console(data, Path(directory), free_ports(), say)) as console:
            console.wait_ready()
            rival.managers = console.admit(bed, rival.plan.name)
            return idle(bed, rival, seconds)


def idle(bed: Bed, rival: Rival, seconds: float) -> Idle:
    """Of the first server, which has the first group's address and coordinates."""
    raise_cluster(bed, rival)
    machine = bed[bed.servers[0]]
    time.sleep(5.0)  # What follows a start has passed.
    if isinstance(rival, Openclp):
        # People are told of the start a little later, by a process that goes when it has done so.
        time.sleep(10.0)
        until(lambda: not any(ALERTS in argv for argv in machine.processes().values()), f"no {ALERTS}", REST_S)
    proc = machine.path("/proc")

    def own() -> list[Path]:
        # The protected service is not part of its protection.
        return [proc / str(pid) for pid, argv in machine.processes().items() if not service(argv)]

    before, start = cpu_s(own()), time.monotonic()
    time.sleep(seconds)
    used = growth(before, cpu_s(own()))
    share = used / (time.monotonic() - start)
    pss, alone = memory(own())
    return Idle(len(own()), pss, alone, 100 * share)


def service(argv: list[str]) -> bool:
    return any(part.endswith("/service.py") for part in argv)


def cpu_s(processes: Iterable[Path]) -> dict[str, float]:
    """Process -> seconds of CPU, those of its ended children included; from the scheduler, to the nanosecond."""
    found = {}
    for process in processes:
        with contextlib.suppress(OSError):
            tasks = (task.joinpath("schedstat").read_text() for task in process.joinpath("task").iterdir())
            own = sum(int(text.split()[0]) for text in tasks) / 1e9
            fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
            children = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
            found[process.name] = own + children
    return found


def growth(before: dict[str, float], after: dict[str, float]) -> float:
    """A process that is new has done all of it meanwhile."""
    return sum(value - before.get(name, 0.0) for name, value in after.items())


_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+) (\S+) (\d+)", re.ASCII)


def memory(processes: Iterable[Path]) -> tuple[float, float]:
    """(PSS, the same if nothing outside of these processes shared their pages), in bytes."""
    pss = private = anonymous = 0
    shared: dict[tuple[str, ...], int] = {}  # piece of a file -> bytes
    for process in processes:
        for place, sizes in _mappings(process):
            pss += sizes["Pss"]
            private += sizes["Private_Clean"] + sizes["Private_Dirty"]
            together = sizes["Shared_Clean"] + sizes["Shared_Dirty"]
            if place[2] == "0":
                # Shared after a fork, with its own kind only.
                anonymous += sizes["Pss"] - sizes["Private_Clean"] - sizes["Private_Dirty"] if together else 0
            else:
                shared[place] = max(shared.get(place, 0), together)
    return pss * 1024, (private + max(0, anonymous) + sum(shared.values())) * 1024


def _mappings(process: Path) -> Iterable[tuple[tuple[str, ...], dict[str, int]]]:
    """((offset, device, inode), field -> kB) of each mapping."""
    place: tuple[str, ...] = ()
    sizes: dict[str, int] = {}
    for line in process.joinpath("smaps").read_text().splitlines():
        if found := _MAPPING.match(line):
            if place:
                yield place, sizes
            place, sizes = found.groups(), {}
        elif line.endswith(" kB"):
            name, _, value = line.partition(":")
            sizes[name] = int(value.split()[0])
    if place:
        yield place, sizes
