"""crashpoints: a mirror's mind stopped at 10 000 random points; what was acknowledged and lost, what else breaks.

Each seed is one simulated mirror (agent/sim/mirror.py) with disks that lose and tear what was not flushed. A point is
one crash between any two of its steps: a server's power or its mirror process, on the active side or the other one, the
power of both at once, the link, or a disk. After each of them the world is judged as the heads of agent/sim/mirror*.py
say.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from agent.mirror.traffic import Queue
from agent.sim.mirror import FAULTS, MirrorWorld
from tests.bench.goals import Goal, Outcome

POINTS = 10_000
QUICK = 400
STEPS = 1200
SHOWN = 10
SYNCHRONOUS, ASYNCHRONOUS = "synchronous", "asynchronous"
_KINDS = (*FAULTS, "both", "disk", "differ", "force")
_RATES = (0.01, 0.03, 0.02, 0.06)
_QUEUES = (3, 6, 40)
_POINTS = {
    "crash, active": "power of the active side",
    "crash, standby": "power of the other side",
    "both": "power of both at once",
    "kill, active": "mirror process of the active side",
    "kill, standby": "mirror process of the other side",
    "cut": "link",
    "disk": "disk of either side",
}
Say = Callable[[str], None]
Played = tuple[int, str, Counter[str], str]


def play(seed: int) -> Played:
    """(seed, mode, what happened how often, what broke)"""
    mode = ASYNCHRONOUS if seed % 2 else SYNCHRONOUS
    queue = Queue(_QUEUES[seed // 2 % 3], 64 << 20) if seed % 2 else None
    world = MirrorWorld(seed, faults=_RATES[seed // 2 % len(_RATES)], queue=queue, kinds=_KINDS)
    broken = ""
    try:
        world.run(STEPS)
        world.heal()
    except Exception as error:  # Also a mistake of the mind itself is a broken promise.
        broken = f"{type(error).__name__}: {error}"
    return seed, mode, Counter({**world.counts, "acknowledged": world.application.acks}), broken


def run(say: Say, *, quick: bool, seeds: range | None) -> Outcome:
    wanted = QUICK if quick else POINTS
    numbers = count(1) if seeds is None else iter(seeds)
    cores = len(os.sched_getaffinity(0))
    played: list[Played] = []
    points = 0
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), initializer=_worker) as pool:
        while seeds is not None or points < wanted:
            batch = [number for number, _ in zip(numbers, range(100), strict=False)]
            if not batch:
                break
            for one in pool.map(play, batch, chunksize=5):
                played.append(one)
                points += _points(one[2])
                if one[3]:
                    say(one[3])
            say(f"{points} points of {len(played)} seeds, {sum(1 for one in played if one[3])} broken")
    return _outcome(played, points)


def _worker() -> None:
    os.nice(5)
    gc.set_threshold(200_000)  # A world makes much, and throws all of it away at once.


def _points(counts: Counter[str]) -> int:
    return sum(counts[name] for name in _POINTS)


def _outcome(played: list[Played], points: int) -> Outcome:
    out = Outcome(
        f"crashpoints: {points} points, seeds {played[0][0]}..{played[-1][0]}",
        ("stopped", SYNCHRONOUS, ASYNCHRONOUS),
    )
    total: dict[str, Counter[str]] = {SYNCHRONOUS: Counter(), ASYNCHRONOUS: Counter()}
    for _, mode, counts, _ in played:
        total[mode].update(counts)
    for name, words in _POINTS.items():
        out.rows.append([words, *(str(total[mode][name]) for mode in total)])
    for name in ("pause", "move", "differ", "force", "overrun", "took over", "thrown away", "acknowledged"):
        out.rows.append([f"({name})", *(str(total[mode][name]) for mode in total)])
    broken = [one for one in played if one[3]]
    out.goals = [Goal("seeds with a broken promise", len(broken), 0, "goal")]
    out.notes = [one[3] for one in broken[:SHOWN]]
    out.notes.append(
        "Broken is: an acknowledged write lost (asynchronous: one that was confirmed, or out of order), two active "
        "sides with different data unnoticed, equal sides that differ, or a mirror that does not heal."
    )
    return out
