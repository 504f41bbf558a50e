"""false: takeovers without a reason at 100/500 ms, counted by what the servers' kernels do with the addresses."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.goals import Goal, Outcome
from tests.bench.rivals import Keepalived, Openclp, Rival, disk, raise_cluster, why_without_keepalived
from webmanager.demo.bed import Bed
from webmanager.demo.configuration import GroupPlan, Plan
from webmanager.demo.machine import BedError, Job, until

WATCH = Path(__file__).with_name("watch.py")
HOG = Path(__file__).with_name("hog.py")
SECONDS = 60.0
FORKERS = 10
Say = Callable[[str], None]

# Ends after about a second, whereupon its monitor has the agent start it again.
FORKING = "#!/bin/sh\nsleep 0.9\n"


class Watch:
    """Counts what happens to addresses in every server of the bed."""

    def __init__(self, bed: Bed) -> None:
        self._added: Counter[str] = Counter()
        self._removed: Counter[str] = Counter()
        self._ready = 0
        self._jobs: list[Job] = []
        self._threads: list[threading.Thread] = []
        for server in bed.servers:
            source, sink = os.pipe2(os.O_CLOEXEC)
            self._jobs.append(bed[server].spawn([sys.executable, "-I", "-S", str(WATCH)], stdout=sink))
            os.close(sink)
            thread = threading.Thread(target=self._read, args=(source,), daemon=True)
            thread.start()
            self._threads.append(thread)
        until(lambda: self._ready == len(bed.servers), "the watchers of the addresses", 10)

    def _read(self, source: int) -> None:
        with os.fdopen(source) as lines:
            for line in lines:
                sign, _, address = line.strip().partition(" ")
                if sign == "ready":
                    self._ready += 1
                elif sign == "+":
                    self._added[address] += 1
                elif sign == "-":
                    self._removed[address] += 1

    def count(self, addresses: Sequence[str]) -> tuple[int, int]:
        return sum(self._added[a] for a in addresses), sum(self._removed[a] for a in addresses)

    def close(self) -> None:
        for job in self._jobs:
            job.kill()
        for thread in self._threads:
            thread.join(5)


def run(say: Say, *, quick: bool) -> Outcome:
    seconds = 8.0 if quick else SECONDS
    out = Outcome(
        f"false: takeovers without a reason in {seconds:.0f} s, openclp 100/500 ms and keepalived side by side",
        ("load", "openclp", "addresses lost", "keepalived", "addresses lost"),
    )
    without = why_without_keepalived()
    with Bed() as bed:
        for name, load in LOADS.items():
            if why_not := _impossible(load):
                out.notes.append(f"{name} is skipped: {why_not}.")
                out.goals.append(Goal(f"openclp, {name}", None, 0, "goal"))
                continue
            say(f"{name} ...")
            ours, theirs = _cell(bed, load, seconds, with_keepalived=not without)
            peer = [str(n) for n in theirs] if theirs else ["-", "-"]
            out.rows.append([name, *(str(n) for n in ours), *peer])
            # Also an address that was only given up was interrupted without a reason.
            out.goals.append(Goal(f"openclp, {name}", max(ours), 0, "goal"))
            say(" ".join(out.rows[-1]))
    if without:
        out.notes.append(f"{without}.")
    return out


def _cell(
    bed: Bed, load: Load, seconds: float, *, with_keepalived: bool
) -> tuple[tuple[int, int], tuple[int, int] | None]:
    # Pings to the client are no heartbeats, and lost ones are a reason to move.
    ours = _Forking(bed) if load is _fork else Openclp(bed, 100, 500, groups=2, services=True, ping="")
    theirs = Keepalived(bed, 100, 500) if with_keepalived else None
    rivals: list[Rival] = [ours, theirs] if theirs else [ours]
    raise_cluster(bed, *rivals)
    watch = Watch(bed)
    try:
        end = load(bed, seconds)
        time.sleep(seconds)
        mine = watch.count([group.address for group in ours.plan.groups])
        other = watch.count([theirs.address]) if theirs else None
        end()
    finally:
        watch.close()
    if wrong := ours.missing(seconds) if isinstance(ours, _Forking) else "":
        raise BedError(wrong)
    if mine == (0, 0) and (wrong := _not_there(ours)):
        raise BedError(f"after the time with load {wrong}")
    return mine, other


def _not_there(ours: Openclp) -> str:
    """A cluster that is dead makes no mistakes either."""
    missing = [group.name for group in ours.plan.groups if not ours.cluster.owners(group.address)]
    return f"nobody has the address of {', '.join(missing)}" if missing else ""


class _Forking(Openclp):
    """Two groups as ever and ten more, of which each has the agent fork once a second, all on the first server."""

    def __init__(self, bed: Bed) -> None:
        super().__init__(bed, 100, 500, groups=2 + FORKERS, services=True, ping="")
        plan = self.plan
        groups = tuple(
            group if number < 2 else GroupPlan(group.name, group.address, bed.servers, group.port)
            for number, group in enumerate(plan.groups)
        )
        self.plan = self.cluster.plan = Plan(
            plan.addresses, groups, plan.interval_ms, plan.timeout_ms, plan.ping, startup_wait_s=plan.startup_wait_s
        )

    def install(self) -> None:
        super().install()
        for server in self.bed.servers:
            etc = disk(self.bed, server) / "etc"
            configuration = etc / "clp.conf"
            text = configuration.read_bytes().replace(b"<reconfirmation>1<", b"<reconfirmation>0<")
            # However often it ends, it is only started again.
            configuration.write_bytes(text.replace(b"<restart>1<", b"<restart>9999<"))
            for number, group in enumerate(self.plan.groups[2:], 3):
                (etc / "scripts" / group.name / f"exec{number}" / "start.sh").write_text(FORKING)

    def unsettled(self) -> str:
        """The forking groups are hardly ever Online; it is enough that they run."""
        status = self.cluster.status()
        wrong = [name for name, server in status["servers"].items() if server["status"] != "Online"]
        wrong += [name for name, group in status["groups"].items() if not group["active_on"]]
        return f"{', '.join(wrong)} not Online" if wrong else ""

    def missing(self, seconds: float) -> str:
        """Not empty when the load was less than it should be."""
        log = (disk(self.bed, self.bed.servers[0]) / "log" / "agent.log").read_text()
        forks = log.count(" is restarted because monitor ")
        return f"the forking groups were started only {forks} times" if forks < seconds * FORKERS / 2 else ""


# ---- loads: start it, get what ends it ----
Load = Callable[[Bed, float], Callable[[], None]]


def _none(bed: Bed, seconds: float) -> Callable[[], None]:
    return lambda: None


def _busy(bed: Bed, seconds: float) -> Callable[[], None]:
    return _hogs(bed, 64, [str(seconds + 1)])


def _fifo(bed: Bed, seconds: float) -> Callable[[], None]:
    return _hogs(bed, 8, [str(seconds + 1), "1"])


def _hogs(bed: Bed, count: int, words: list[str]) -> Callable[[], None]:
    """On the switch: a CPU knows no namespaces. They end by themselves, even if nobody gets to end them."""
    jobs = [bed.switch.spawn([sys.executable, "-I", "-S", str(HOG), *words]) for _ in range(count)]

    def end() -> None:
        for job in jobs:
            if job.wait(60) != 0:
                raise BedError("a process that should have kept a CPU busy failed")

    return end


def _loss(bed: Bed, seconds: float) -> Callable[[], None]:
    for server in bed.servers:
        for lan in bed.lans_of(server)[:-1]:
            bed.faults.lose(lan, server, 30)
    return bed.faults.heal


def _fork(bed: Bed, seconds: float) -> Callable[[], None]:
    return lambda: None


LOADS: dict[str, Load] = {
    "none": _none,
    "64 busy processes": _busy,
    "8 SCHED_FIFO hogs": _fifo,
    "30 % loss on every LAN": _loss,
    f"{FORKERS} monitored programs, each forked each second": _fork,
}


def _impossible(load: Load) -> str:
    if load is not _fifo:
        return ""
    policy = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return "this user may not use SCHED_FIFO; run it as root"
    os.sched_setscheduler(0, *policy)
    return ""
