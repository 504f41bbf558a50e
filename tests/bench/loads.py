"""What a cluster has to bear without moving anything: loads, lost packets, stopped processes, a stuck disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from webmanager.demo.bed import Bed
from webmanager.demo.machine import DISK, BedError

HOG = Path(__file__).with_name("hog.py")
STOPPED_S = 5.0
GOING_S = 5.0  # between two stops
LOSS_PERCENT = 30
End = Callable[[], None]


class Load(NamedTuple):
    """`start` gets the bed and the seconds, and gives what ends it."""

    start: Callable[[Bed, float], End]
    moves: int = 0  # takeovers that it must cause, as it is a fault that nobody can bear
    arbiter: bool = False  # the cluster has a witness
    stuck: bool = False  # the state directories are on a file system that can be frozen
    forking: bool = False


def nothing(bed: Bed, seconds: float) -> End:
    return lambda: None


def busy(bed: Bed, seconds: float) -> End:
    return _hogs(bed, 64, [str(seconds + 1)])


def fifo(bed: Bed, seconds: float) -> End:
    return _hogs(bed, 8, [str(seconds + 1), "1"])


def _hogs(bed: Bed, count: int, words: list[str]) -> End:
    """On the switch: a CPU knows no namespaces. They end by themselves, even if nobody gets to end them."""
    jobs = [bed.switch.spawn([sys.executable, "-I", "-S", str(HOG), *words]) for _ in range(count)]

    def end() -> None:
        for job in jobs:
            if job.wait(60) != 0:
                raise BedError("a process that should have kept a CPU busy failed")

    return end


def loss(bed: Bed, seconds: float) -> End:
    for server in bed.servers:
        for lan in bed.lans_of(server)[:-1]:
            bed.faults.lose(lan, server, LOSS_PERCENT)
    return bed.faults.heal


# ---- one-way, on all LANs ----
def _deaf(bed: Bed, server: str, sources: Sequence[str]) -> End:
    for source in sources:
        for lan in bed.lans_of(server)[:-1]:
            bed.faults.deaf(lan, server, source)
    return bed.faults.heal


def active_deaf_to_one(bed: Bed, seconds: float) -> End:
    return _deaf(bed, bed.servers[0], bed.servers[1:2])


def standby_deaf_to_active(bed: Bed, seconds: float) -> End:
    return _deaf(bed, bed.servers[1], bed.servers[:1])


def active_deaf_to_all(bed: Bed, seconds: float) -> End:
    return _deaf(bed, bed.servers[0], bed.servers[1:])


# ---- processes that sleep, on one server after the other ----
def stopped(*words: str) -> Callable[[Bed, float], End]:
    """Stops each server's processes with one of these words in their command lines; who has none has none."""

    def start(bed: Bed, seconds: float) -> End:
        over, hit = threading.Event(), list[int]()
        thread = threading.Thread(target=_stop_in_turns, args=(bed, words, over, hit), daemon=True)
        thread.start()

        def end() -> None:
            over.set()
            thread.join(30)
            if not hit or min(hit) < 1:
                raise BedError(f"{words[0]} did not run where it should have been stopped")

        return end

    return start


def _stop_in_turns(bed: Bed, words: Sequence[str], over: threading.Event, hit: list[int]) -> None:
    """`hit`: how many of our own processes each turn has stopped."""
    turn = 0
    while not over.is_set():
        server = bed.servers[turn % len(bed.servers)]
        own = _pids(bed, server, words[0])
        hit.append(len(own))
        pids = own + [pid for word in words[1:] for pid in _pids(bed, server, word)]
        _signal(bed, server, pids, signal.SIGSTOP)
        over.wait(STOPPED_S)
        _signal(bed, server, pids, signal.SIGCONT)
        over.wait(GOING_S)
        turn += 1


def _pids(bed: Bed, server: str, word: str) -> list[int]:
    """A word that is a path names the file with the number."""
    if not word.startswith("/"):
        return bed[server].pids(word)
    with contextlib.suppress(OSError, ValueError):
        return [int(bed[server].path(word).read_text())]
    return []


def _signal(bed: Bed, server: str, pids: Sequence[int], number: int) -> None:
    with contextlib.suppress(BedError):
        for pid in pids:
            bed[server].kill(pid, number)


# ---- a disk that does not answer ----
MOUNTED = ("/var/lib/pacemaker", "/var/lib/corosync")


def mount_states(bed: Bed, server: str) -> None:
    """The state directory, and those of the peers, on an ext4 of its own."""
    image = f"{DISK}/state.img"
    binds = "".join(
        f"if [ -d {path} ]; then mkdir {DISK}/state{path.replace('/', '.')}; "
        f"mount --bind {DISK}/state{path.replace('/', '.')} {path}; fi\n"
        for path in MOUNTED
    )
    bed[server].sh(f"truncate -s 32M {image}\nmkfs.ext4 -q -F {image}\nmount -o loop {image} {DISK}/state\n{binds}")


def stuck(bed: Bed, seconds: float) -> End:
    """Of the first server. A process outside of the bed thaws it, whatever becomes of us: what waits for a frozen file
    system cannot be killed."""
    pid = bed[bed.servers[0]].pid
    enter = ["nsenter", f"--mount=/proc/{pid}/ns/mnt"]
    script = f"fsfreeze -f {DISK}/state && echo frozen; read -t {int(seconds) + 30} line; fsfreeze -u {DISK}/state"
    holder = subprocess.Popen(
        [*enter, "bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert holder.stdout
    assert holder.stdin
    frozen = holder.stdout.readline() == "frozen\n"

    def end() -> None:
        holder.communicate("thaw\n", timeout=30)

    if not frozen:
        end()
        raise BedError("the file system of the state directory could not be frozen")
    return end


LOADS: dict[str, Load] = {
    "none": Load(nothing),
    "64 busy processes": Load(busy),
    "8 SCHED_FIFO hogs": Load(fifo),
    f"{LOSS_PERCENT} % loss on every LAN": Load(loss),
    "10 monitored programs, each forked each second": Load(nothing, forking=True),
    "active deaf to one": Load(active_deaf_to_one),
    "standby deaf to active": Load(standby_deaf_to_active),
    "active deaf to all": Load(active_deaf_to_all, moves=1),
    "daemon stopped 5 s": Load(stopped("agent.daemon.main", "/run/keepalived-r.pid", "pacemaker-controld")),
    "supervisor stopped 5 s": Load(stopped("agent.daemon.supervisor", "/run/keepalived-p.pid", "pacemakerd")),
    "arbiter child stopped 5 s": Load(stopped("agent.daemon.arbiter"), arbiter=True),
    "stuck disk": Load(stuck, stuck=True),
}


def impossible(load: Load) -> str:
    """Why this load cannot be had here, or empty."""
    if load.stuck:
        missing = [program for program in ("fsfreeze", "mkfs.ext4", "nsenter") if not shutil.which(program)]
        if missing or os.geteuid() != 0 or not Path("/dev/loop-control").exists():
            return f"it takes root, loop devices and fsfreeze, mkfs.ext4, nsenter (missing: {', '.join(missing)})"
    return _no_real_time() if load.start is fifo else ""


def _no_real_time() -> str:
    policy = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return "this user may not use SCHED_FIFO; run it as root"
    os.sched_setscheduler(0, *policy)
    return ""
