"""many: 32 servers in the bed; how soon each sees all, what they cost at rest, how soon one of them is replaced.

The neighbour table of this kernel is one for all network namespaces, and its limits belong to the machine: they are
read and told, never changed.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench.goals import Goal, Outcome, median
from tests.bench.idle import ALERTS, cpu_s, growth, service
from tests.bench.rivals import Openclp, raise_cluster, settle
from webmanager.demo.bed import ROOT, Bed
from webmanager.demo.client import Client
from webmanager.demo.machine import BedError, until

SERVERS = 32
LANS = ("ic1", "pub")
INTERVAL_MS, TIMEOUT_MS = 100, 500
STARTS, CRASHES = 3, 5
REST_S = 30.0
ASKING = 4  # servers at a time
TAILS = 4000  # characters of the agents' logs that a failure shows
MESH_S, CORES, TAKEOVER_S = 4.0, 0.7, 0.8
LONGEST_S = 60.0
TOLD_S = 120.0
GROUP = "failover1"
LIMIT = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
CHILD = "agent.daemon.heartbeat"
Say = Callable[[str], None]


class Start(NamedTuple):
    """Seconds from the first agent's start until ..."""

    beating_s: float  # the last heartbeat process ran
    mesh_s: float  # every server showed a complete mesh
    cpu_s: float  # of all processes until then

    @property
    def agreeing_s(self) -> float:
        return self.mesh_s - self.beating_s


def run(say: Say, *, quick: bool) -> Outcome:
    starts, rounds, rest_s = (1, 1, 5.0) if quick else (STARTS, CRASHES, REST_S)
    out = Outcome(
        f"many: {SERVERS} servers, {len(LANS)} LANs, {INTERVAL_MS}/{TIMEOUT_MS} ms", ("", "n", "min", "median", "max")
    )
    compileall.compile_dir(ROOT / "agent", quiet=2)  # Once for all, as an installation has it.
    with Bed(LANS, SERVERS) as bed:
        rival = Openclp(bed, INTERVAL_MS, TIMEOUT_MS, services=True)
        begun = []
        for number in range(1, starts + 1):
            begun.append(_start(bed, rival))
            say(f"start {number} of {starts}: all beat after {begun[-1].beating_s:.2f} s, complete after "
                f"{begun[-1].mesh_s:.2f} s and {begun[-1].cpu_s:.1f} s of CPU")  # fmt: skip
        settle(rival)
        cores = _rest(bed, rest_s)
        say(f"at rest: {cores:.2f} cores")
        outages = _crashes(bed, rival, rounds, say)
    agreeing = [one.agreeing_s for one in begun]
    for name, values in (
        ("first start to all heartbeat processes, s", [one.beating_s for one in begun]),
        ("from there to mesh complete, s", agreeing),
        ("both together, s", [one.mesh_s for one in begun]),
        ("CPU of all until then, s", costs := [one.cpu_s for one in begun]),
        (f"rest of {rest_s:.0f} s: cores", [cores]), ("crash: outage, s", outages),
    ):  # fmt: skip
        figures = (min(values), median(values), max(values))
        out.rows.append([name, str(len(values)), *(f"{value:.3f}" for value in figures)])
    out.goals = [
        Goal("all beat to mesh complete, median", median(agreeing), MESH_S, "goal", 1.0, "s"),
        Goal("cores of all agents at rest", 100 * cores, 100 * CORES, "goal", 1.0, "%"),
        Goal("take-over, median", median(outages), TAKEOVER_S, "goal", 1.0, "s"),
    ]
    out.notes += [_neighbours(), *_floor(median(costs))]
    return out


def _start(bed: Bed, rival: Openclp) -> Start:
    """A mesh is complete when every server shows every server Online, and heard on every LAN."""
    _clear(bed, rival)
    start, booted = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
    for server in bed.servers:
        rival.boot(server)
    # First one of them until it shows all: to ask all of them all the time would be most of the load.
    first, *others = bed.servers
    _wait(rival, first)
    with ThreadPoolExecutor(ASKING) as pool:
        list(pool.map(partial(_wait, rival), others))
    took_s = time.monotonic() - start
    return Start(_last_child(bed) - booted, took_s, sum(_cpu(bed).values()))


def _wait(rival: Openclp, server: str) -> None:
    """Until it shows a complete mesh."""
    last = ""

    def complete() -> bool:
        nonlocal last
        last = missing(rival, server)
        return not last

    try:
        until(complete, f"a complete mesh on {server}", LONGEST_S, 0.05)
    except BedError as error:
        raise BedError(f"{error}: {last}. {_neighbours()}\n{rival.cluster.tails(3)[:TAILS]}") from None


def _last_child(bed: Bed) -> float:
    """When the youngest heartbeat process was started, by CLOCK_BOOTTIME."""
    born = []
    for server in bed.servers:
        machine = bed[server]
        pids = [pid for pid, argv in machine.processes().items() if any(CHILD in word for word in argv)]
        stats = [machine.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        born += [int(fields[19]) / os.sysconf("SC_CLK_TCK") for fields in stats]
    return max(born)


def _clear(bed: Bed, rival: Openclp) -> None:
    """Servers as new, with power; nothing of the cluster runs."""
    raise_cluster(bed)
    rival.install()


def missing(rival: Openclp, server: str) -> str:
    """Empty when this server shows all servers Online and hears all others on all LANs."""
    try:
        servers = rival.cluster.status(server)["servers"]
    except BedError as error:
        return str(error)
    wrong = [name for name in rival.bed.servers if servers.get(name, {}).get("status") != "Online"]
    if wrong:
        return f"{len(wrong)} servers are not Online there, as {wrong[0]}"
    for name, path in servers[server]["heartbeats"].items():
        if silent := [peer for peer, seen in path["peers"].items() if seen["status"] != "Normal"]:
            return f"{name} is not Normal to {len(silent)} servers, as {silent[0]}"
    return ""


def _cpu(bed: Bed) -> dict[str, float]:
    """Server and process -> seconds of CPU of everything that the cluster runs."""
    found = {}
    for server in bed.servers:
        machine = bed[server]
        proc = machine.path("/proc")
        own = [proc / str(pid) for pid, argv in machine.processes().items() if not service(argv)]
        found.update({f"{server} {pid}": used for pid, used in cpu_s(own).items()})
    return found


def _rest(bed: Bed, seconds: float) -> float:
    """Cores that all agents use together while nothing happens and nobody asks."""
    time.sleep(15.0)  # What follows a start has passed, and people are told of it.

    def told() -> bool:
        return not any(ALERTS in argv for name in bed.servers for argv in bed[name].processes().values())

    until(told, f"no {ALERTS}", TOLD_S)
    before, start = _cpu(bed), time.monotonic()
    time.sleep(seconds)
    after, end = _cpu(bed), time.monotonic()
    return growth(before, after) / (end - start)


def _crashes(bed: Bed, rival: Openclp, rounds: int, say: Say) -> list[float]:
    with contextlib.closing(Client(bed, {GROUP: (rival.address, rival.port)})) as client:
        found = []
        for number in range(1, rounds + 1):
            active = client.wait_any(GROUP, LONGEST_S)
            time.sleep(random.uniform(0.2, 0.4))
            count = client.count(GROUP)
            bed.faults.power_off(active)
            found.append(client.outage_after(GROUP, count, None, LONGEST_S))
            say(f"crash {number} of {rounds}: {found[-1]:.3f} s")
            bed.faults.power_on(active)
            rival.boot(active)
            settle(rival)
        return found


def _neighbours() -> str:
    """What the neighbour table of this machine has room for."""
    pairs = SERVERS * (SERVERS - 1) * len(LANS)
    try:
        limit = LIMIT.read_text().strip()
    except OSError:
        return f"{pairs} neighbours; the limit of this machine's table cannot be read."
    return (
        f"{pairs} neighbours on one kernel, whose table has room for {limit} that are not pinned "
        "(net.ipv4.neigh.default.gc_thresh3, left as it is); the agents pin theirs."
    )


def _floor(cost_s: float) -> list[str]:
    cores = len(os.sched_getaffinity(0))
    return [
        f"A start takes {cost_s / SERVERS:.2f} s of CPU a server: on {cores} cores {cost_s / cores:.1f} s at least."
    ]
