"""sim: random faults from seeds in simulated time; promises that break, how fast it goes, and whether it repeats."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from agent.catalog import RESOURCES
from agent.clpconf.model import (
    Activation,
    Cluster,
    Device,
    Group,
    Heartbeat,
    Monitor,
    PartitionResolver,
    Resource,
    Server,
)
from agent.sim.fuzz import Result, fuzz
from tests.bench.goals import Goal, Outcome

SEEDS = range(1, 10_001)
QUICK = range(1, 41)
REPLAYS = 20
SHOWN = 10
DEFAULTS = {name: kind.spec.depends_on for name, kind in RESOURCES.items()}
Say = Callable[[str], None]
Played = tuple[int, list[str], str, float]


def cluster_of(seed: int) -> Cluster:
    """Three servers, or five; in turns with majority and self-fencing, or without both."""
    count = 3 if seed % 2 else 5
    safe = seed // 2 % 2 == 0
    names = tuple(f"server{number}" for number in range(1, count + 1))
    return Cluster(
        name=f"sim{count}{'safe' if safe else ''}",
        interval_s=0.2, timeout_s=1.0, startup_wait_s=5.0, self_fencing=safe,
        servers=tuple(_server(name, number) for number, name in enumerate(names)),
        heartbeats=tuple(Heartbeat(name=f"lanhb{n + 1}", type="lanhb", priority=n, device=n) for n in range(2)),
        resolvers=(PartitionResolver(name="majonp1", type="majonp", priority=0, device=0),) if safe else (),
        groups=tuple(_group(number, names) for number in (1, 2)),
        resources=tuple(resource for number in (1, 2) for resource in _resources(number)),
        monitors=tuple(_monitor(number) for number in (1, 2)),
    )  # fmt: skip


def _server(name: str, number: int) -> Server:
    devices = tuple(Device(id=lan, type="lan", info=f"10.29.{lan + 1}.{number + 1}") for lan in range(2))
    return Server(name=name, priority=number, devices=devices)


def _group(number: int, names: tuple[str, ...]) -> Group:
    policy = names[number - 1 :] + names[: number - 1]
    return Group(name=f"failover{number}", gid=number - 1, resources=(f"fip{number}", f"exec{number}"), policy=policy)


def _resources(number: int) -> Iterator[Resource]:
    step = Activation(timeout_s=10, retry=1, failover=1)
    stop = Activation(timeout_s=10, retry=1, action=4)  # The format's default: who cannot stop it goes down.
    address = {"parameters/ip": f"10.29.1.{100 + number}"}
    yield Resource(name=f"fip{number}", type="fip", activation=step, deactivation=stop, values=address)
    yield Resource(name=f"exec{number}", type="exec", activation=step, deactivation=stop)


def _monitor(number: int) -> Monitor:
    return Monitor(
        name=f"pidw{number}", type="pidw", target=f"exec{number}", timing="active", interval_s=1, timeout_s=2,
        retries=1, recovery_type="rsc", recovery_name=f"exec{number}", restart_threshold=1, failover_threshold=1,
    )  # fmt: skip


def play(seed: int) -> Played:
    """(seed, what broke, digest of the whole trace, simulated seconds); an exception in the engine is a broken promise
    as well."""
    try:
        result: Result = fuzz(cluster_of(seed), seed, DEFAULTS)
    except Exception as error:
        return seed, [f"seed {seed}: {type(error).__name__}: {error}"], f"{type(error).__name__}", 0.0
    return seed, result.violations, result.digest, result.simulated_s


def timed(seed: int) -> tuple[Played, float]:
    """With seconds of the processor."""
    began = time.process_time()
    played = play(seed)
    return played, time.process_time() - began


def run(say: Say, *, quick: bool, seeds: range | None) -> Outcome:
    seeds = seeds or (QUICK if quick else SEEDS)
    cores = len(os.sched_getaffinity(0))
    start = time.monotonic()
    # Not forked: the same start in each process, so that nothing but the seed can decide.
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), initializer=_worker) as pool:
        played, used_s = [], {3: 0.0, 5: 0.0}
        for one, cpu_s in pool.map(timed, seeds, chunksize=max(1, min(20, len(seeds) // (4 * cores)))):
            played.append(one)
            used_s[3 if one[0] % 2 else 5] += cpu_s
            if one[1] or len(played) % 250 == 0:
                say(f"{len(played)} of {len(seeds)} seeds" + "".join(f"; {text}" for text in one[1]))
        wall_s = time.monotonic() - start
        chosen = sorted(random.sample(seeds, min(REPLAYS, len(seeds))))
        again = list(pool.map(play, chosen))
    out = _outcome(seeds, played, chosen, again, wall_s, cores)
    _speed(out, played, used_s)
    return out


def _speed(out: Outcome, played: list[Played], used_s: dict[int, float]) -> None:
    three_s = sum(one[3] for one in played if one[0] % 2)
    cost_ms = 1e3 * used_s[3] / three_s if three_s else None
    out.goals.append(Goal("a simulated second of three servers, on one core", cost_ms, 1.0, "goal", unit="ms"))
    rate, seeds = sum(one[3] for one in played) / sum(used_s.values()), len(played) / sum(used_s.values())
    out.notes.append(f"{rate:.0f} times real time and {seeds:.1f} seeds a second, on each core, all seeds together"
                     + (f"; {1e3 / cost_ms:.0f} times real time with three servers." if cost_ms else "."))  # fmt: skip


def _worker() -> None:
    # The others want the machine as well.
    os.nice(5)
    gc.set_threshold(200_000)  # A world makes much, and throws all of it away at once.


def _outcome(
    seeds: range, played: list[Played], chosen: list[int], again: list[Played], wall_s: float, cores: int
) -> Outcome:
    first = {seed: digest for seed, _, digest, _ in played}
    differing = [seed for seed, _, digest, _ in again if digest != first[seed]]
    broken = [one for one in played if one[1]]
    out = Outcome(
        f"sim: seeds {seeds[0]}..{seeds[-1]}: crash, pause, split, loss, repeats, sick resources, requests",
        ("", "seeds", "simulated h", "broken"),
    )
    for name, rest in (("3 servers, majority and self-fencing", 1), ("5 servers, majority and self-fencing", 0),
                       ("3 servers, neither", 3), ("5 servers, neither", 2)):  # fmt: skip
        part = [one for one in played if one[0] % 4 == rest]
        hours = sum(one[3] for one in part) / 3600
        out.rows.append([name, str(len(part)), f"{hours:.1f}", str(sum(1 for one in part if one[1]))])
    rate = sum(one[3] for one in played) / 60 / wall_s
    out.goals = [
        Goal("seeds with a broken promise", len(broken), 0, "goal"),
        Goal(f"replays that differ, of {len(chosen)}", len(differing), 0, "goal"),
    ]
    out.notes.append(f"{rate:.1f} simulated hours per minute on {cores} cores ({wall_s:.0f} s).")
    out.notes += [text for one in broken[:SHOWN] for text in one[1][:3]]
    if len(broken) > SHOWN:
        out.notes.append(f"Further broken seeds: {' '.join(str(one[0]) for one in broken[SHOWN:200])}.")
    out.notes += [f"Seed {seed} played differently the second time." for seed in differing]
    return out
