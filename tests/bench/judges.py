"""Our decisions beside those of others: placement beside crm_simulate, quorum beside corosync-vqsim."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

from agent.engine.quorum import has_quorum
from tests.bench.goals import Goal, Outcome
from tests.judges import crm, vqsim

_PLACEMENTS = 5000
_SPLITS = 4000
_QUICK = 100
_CHUNK = 25


def run(say: Callable[[str], None], *, quick: bool) -> Outcome:
    outcome = Outcome("judges: the same questions to us and to others",
                      ["question", "judge", "asked", "agree", "differ", "ours ms", "theirs ms"])  # fmt: skip
    for program, package, part in ((crm.PROGRAM, "pacemaker-cli-utils", _placement),
                                   (vqsim.PROGRAM, "corosync-vqsim", _quorum)):  # fmt: skip
        if shutil.which(program):
            part(outcome, say, quick)
        else:
            outcome.notes.append(f"{program} is missing (Debian package {package}): its part was skipped.")
    return outcome


# Placement ------------------------------------------------------------------------------------------------------


def _placement(outcome: Outcome, say: Callable[[str], None], quick: bool) -> None:
    count = _QUICK if quick else _PLACEMENTS
    chunks = [range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]
    agree = order = wrong = 0
    ours_s = theirs_s = 0.0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, (same, shared, bad, ours, theirs) in enumerate(pool.map(_ask, chunks), 1):
            agree, order, wrong = agree + same, order + shared, wrong + bad
            ours_s, theirs_s = ours_s + ours, theirs_s + theirs
            say(f"placement: {number * _CHUNK} of {count}, {agree} agree")
    outcome.rows.append(["placement", crm.PROGRAM, str(count), str(agree), str(count - agree),
                         f"{1000 * ours_s / count:.1f}", f"{1000 * theirs_s / count:.1f}"])  # fmt: skip
    outcome.goals.append(Goal("placement: differences without exclusion, or not allowed", wrong, 0, crm.PROGRAM))
    outcome.notes.append(
        f"placement: {order} questions differ where two groups exclude each other: who comes first is a matter of "
        f"order, and both answers are allowed. We are {theirs_s / ours_s:.1f} times as fast, and play the whole story: "
        "heartbeats, views, orders and failback until nothing has moved for 15 s.")  # fmt: skip


def _ask(seeds: range) -> tuple[int, int, int, float, float]:
    """Equal answers; different ones that are both allowed; wrong ones; seconds of ours and theirs."""
    same = shared = bad = 0
    ours_s = theirs_s = 0.0
    with tempfile.TemporaryDirectory(prefix="openclp-judges-") as directory:
        for seed in seeds:
            asked = crm.question(seed)
            ours, theirs = crm.ours(asked), crm.theirs(asked, Path(directory))
            ours_s, theirs_s = ours_s + ours.seconds, theirs_s + theirs.seconds
            order = any(group.exclusive for group in asked.cluster.groups)
            if crm.wrong(asked, ours.places) or (ours.places != theirs.places and not order):
                bad += 1
            elif ours.places == theirs.places:
                same += 1
            else:
                shared += 1
    return same, shared, bad, ours_s, theirs_s


# Quorum ---------------------------------------------------------------------------------------------------------


def _quorum(outcome: Outcome, say: Callable[[str], None], quick: bool) -> None:
    each = (_QUICK if quick else _SPLITS) // 8
    asked = agree = 0
    for count in range(2, 10):
        random = Random(f"bench {count}")
        voters = [f"server{number}" for number in range(1, count + 1)]
        place = tempfile.TemporaryDirectory(prefix="openclp-judges-")
        with place as directory, vqsim.Vqsim(count, Path(directory)) as cluster:
            for _ in range(each):
                parts = vqsim.random_parts(random, count)
                expected = {s: has_quorum(voters, {f"server{n}" for n in part}) for part in parts for s in part}
                asked, agree = asked + 1, agree + (cluster.quorate(parts, expected) == expected)
        say(f"quorum: {count} servers, {agree} of {asked} agree")
    outcome.rows.append(["quorum", vqsim.PROGRAM, str(asked), str(agree), str(asked - agree), "-", "-"])
    outcome.goals.append(Goal("quorum: differences", asked - agree, 0, vqsim.PROGRAM))
