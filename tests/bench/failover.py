"""failover: the active server loses its power; how long a client that connects every 10 ms gets no answer."""

from __future__ import annotations

import os
import random
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.goals import Goal, Outcome, median, quantile
from tests.bench.rivals import (
    PRIVATE,
    Keepalived,
    Openclp,
    Pacemaker,
    Rival,
    raise_cluster,
    settle,
    why_without_keepalived,
    why_without_pacemaker,
)
from webmanager.demo.bed import Bed
from webmanager.demo.client import Client
from webmanager.demo.machine import BedError

BEATS = Path(__file__).with_name("beats.py")
CRASHES = 12
STEP_MS = 10
LONGEST_S = 30.0
BEAT_S = 10.0
GROUP = "bench"
PACEMAKER_S = 1.31  # what it did in the measurements that the goal comes from
Say = Callable[[str], None]


def run(say: Say, *, quick: bool) -> Outcome:
    rounds = 3 if quick else CRASHES
    out = Outcome(
        f"failover: crash of the active server, {rounds} each; outage of a client that connects each {STEP_MS} ms, s",
        ("", "n", "min", "median", "p90", "max"),
    )
    with Bed(private=PRIVATE) as bed:
        medians: dict[str, float] = {}
        for key, rival, why_not in _rivals(bed):
            if why_not:
                out.notes.append(f"{rival.name} is skipped: {why_not}.")
                continue
            try:
                outages = crashes(bed, rival, rounds, say)
            except BedError as error:
                out.notes.append(f"{rival.name} failed: {error}.")
                continue
            medians[key] = median(outages)
            shown = (min(outages), medians[key], quantile(outages, 0.9), max(outages))
            out.rows.append([rival.name, str(len(outages)), *(f"{value:.3f}" for value in shown)])
    out.goals = _goals(medians)
    return out


def _rivals(bed: Bed) -> list[tuple[str, Rival, str]]:
    demo = Openclp(bed, 200, 1000, services=True)
    demo.name += " (demo, with its web service)"
    return [
        ("100/500", Openclp(bed, 100, 500), ""),
        ("vrrp slow", Keepalived(bed, 100, 500), why_without_keepalived()),
        ("20/100", Openclp(bed, 20, 100), ""),
        ("vrrp fast", Keepalived(bed, 20, 100), why_without_keepalived()),
        ("demo", demo, ""),
        ("pacemaker", Pacemaker(bed, 500), why_without_pacemaker()),
    ]


def _goals(medians: dict[str, float]) -> list[Goal]:
    slow, fast = _must(medians, "100/500"), _must(medians, "20/100")
    pacemaker = medians.get("pacemaker")
    return [
        Goal("openclp 100/500", slow, 0.5, "timeout", 1.1, "s"),
        Goal("openclp 100/500", slow, medians.get("vrrp slow"), "keepalived, same detection time", 1.0, "s"),
        Goal("openclp 100/500", slow, pacemaker, "corosync+pacemaker, token 500 ms", 1.0, "s"),
        Goal("openclp 100/500", slow, PACEMAKER_S, "the same, as once measured", 1.0, "s"),
        Goal("openclp 20/100", fast, 0.15, "goal", 1.0, "s"),
        Goal("openclp 20/100", fast, medians.get("vrrp fast"), "keepalived, same detection time", 1.0, "s"),
        Goal("openclp 200/1000 (demo)", _must(medians, "demo"), 1.0, "timeout", 1.1, "s"),
    ]


def _must(medians: dict[str, float], key: str) -> float:
    """What failed is missed, not skipped."""
    return medians.get(key, float("inf"))


def crashes(bed: Bed, rival: Rival, rounds: int, say: Say) -> list[float]:
    """Outages of this many crashes, spread evenly over the heartbeats' interval: the same for everybody."""
    raise_cluster(bed, rival)
    client = Client(bed, {GROUP: (rival.address, rival.port)}, STEP_MS)
    phases = [(number + 0.5) / rounds for number in range(rounds)]
    random.shuffle(phases)
    try:
        outages = []
        for number, phase in enumerate(phases, 1):
            outages.append(_crash(bed, rival, client, phase))
            say(f"{rival.name}: crash {number} of {rounds}: {outages[-1]:.3f} s")
        return outages
    finally:
        client.close()


def _crash(bed: Bed, rival: Rival, client: Client, phase: float) -> float:
    active = client.wait_any(GROUP, LONGEST_S)
    time.sleep(random.uniform(0.2, 0.4))
    count = client.count(GROUP)
    _wait_for_phase(bed, active, phase * rival.interval_s)
    bed.faults.power_off(active)
    outage = client.outage_after(GROUP, count, None, LONGEST_S)
    if client.wait_any(GROUP, LONGEST_S) == active:
        raise BedError(f"{active} answers although it has no power")
    bed.faults.power_on(active)
    rival.boot(active)
    settle(rival)
    return outage


def _wait_for_phase(bed: Bed, server: str, delay_s: float) -> None:
    """Until `delay_s` after a heartbeat of the server; 0: at once."""
    if not delay_s:
        return
    lan = bed.lans_of("client")[0]
    source, sink = os.pipe2(os.O_CLOEXEC)
    words = [sys.executable, "-I", "-S", str(BEATS), bed.port(lan, server), bed.mac(lan, server)]
    job = bed.switch.spawn(words, stdout=sink)
    os.close(sink)
    try:
        # The second one: the first may have waited while the watcher started.
        for _ in range(2):
            if not select.select([source], [], [], BEAT_S)[0] or not os.read(source, 4096):
                raise BedError(f"{server} sends no heartbeats on {lan}")
        time.sleep(delay_s)
    finally:
        os.close(source)
        job.kill()
