"""whatif: one failure, all single failures and all pairs on a large cluster, beside pacemaker's crm_simulate."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agent.catalog import RESOURCES
from agent.clpconf.model import Cluster
from agent.sim.sweep import Sweep, sweep
from agent.sim.whatif import Outlook
from tests.bench.goals import Goal, Outcome, figure, median
from tests.bench.large import large
from tests.judges.cib import PROGRAM, Cib

Say = Callable[[str], None]
DEFAULTS = {name: kind.spec.depends_on for name, kind in RESOURCES.items()}
SIZE, QUICK_SIZE = (32, 1000), (8, 100)
QUESTIONS, QUICK_QUESTIONS = 9, 3
FASTER = 30  # than crm_simulate
_TIMEOUT_S = 900.0
_TO_OTHERS = 2  # questions: one takes minutes


def run(say: Say, *, quick: bool) -> Outcome:
    servers, resources = QUICK_SIZE if quick else SIZE
    cluster = large(servers, resources)
    names = cluster.server_names
    chosen = names[:: max(1, len(names) // (QUICK_QUESTIONS if quick else QUESTIONS))]
    out = Outcome(f"whatif: {servers} servers, {len(cluster.groups)} groups, {resources} resources",
                  ("", "questions", "time", "each", "not covered"))  # fmt: skip
    say(f"{len(chosen)} questions")
    ours = [_ask(cluster, name) for name in chosen]
    out.rows.append(["a server fails", str(len(ours)), figure(sum(ours), "s"), figure(1e3 * median(ours), "ms"), ""])
    single, single_s = _sweep(say, cluster, double=False)
    double, double_s = _sweep(say, cluster, double=True)
    for text, found, took_s in (("every failure", single, single_s), ("every pair of servers", double, double_s)):
        count = len(found.rows)
        out.rows.append(
            [text, str(count), figure(took_s, "s"), figure(1e3 * took_s / count, "ms"), str(len(found.gaps))]
        )
    say(f"{PROGRAM}, the same questions")
    theirs = _theirs(cluster, chosen[:_TO_OTHERS])
    if theirs:
        out.rows.append([f"{PROGRAM}: a server fails", str(len(theirs)), figure(sum(theirs), "s"),
                         figure(1e3 * median(theirs), "ms"), ""])  # fmt: skip
    out.goals = _goals(ours, single_s, double_s, theirs)
    out.notes.append(f"A question is asked of a fresh outlook. Sweeps: {_cores()} processes, everything included.")
    return out


def _goals(ours: list[float], single_s: float, double_s: float, theirs: list[float]) -> list[Goal]:
    return [
        Goal("what-if, median", 1e3 * median(ours), 100.0, "goal", unit="ms"),
        Goal("every single failure", single_s, 5.0, "goal", unit="s"),
        Goal("every pair of servers", double_s, 60.0, "goal", unit="s"),
        Goal(
            "what-if, median", 1e3 * median(ours), 1e3 * median(theirs) if theirs else None, PROGRAM, 1 / FASTER, "ms"
        ),
    ]


def _ask(cluster: Cluster, name: str) -> float:
    """Seconds of the processor, from nothing to the whole story."""
    began = time.process_time()
    outlook = Outlook(cluster, DEFAULTS)
    story = outlook.whole(outlook.ask([f"crash {name}"]))
    seconds = time.process_time() - began
    moved = [fate for fate in story.fates.values() if fate.before == name]
    assert {fate.outcome for fate in moved} == {"moves"}, "the question was not answered"
    return seconds


def _sweep(say: Say, cluster: Cluster, *, double: bool) -> tuple[Sweep, float]:
    say("every pair of servers" if double else "every single failure")
    began = time.monotonic()
    found = sweep(cluster, DEFAULTS, double=double, jobs=_cores(), context=multiprocessing.get_context("fork"))
    return found, time.monotonic() - began


def _cores() -> int:
    return len(os.sched_getaffinity(0))


# The same to crm_simulate -------------------------------------------------------------------------------------------


def _theirs(cluster: Cluster, names: tuple[str, ...]) -> list[float]:
    """Seconds of the processor; none when it is not installed."""
    if shutil.which(PROGRAM) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="openclp-bench-") as directory:
        file = Path(directory) / "cib.xml"
        file.write_bytes(cib(cluster))
        return [_simulate(file, name) for name in names]


def _simulate(file: Path, name: str) -> float:
    began = _children_s()
    done = subprocess.run([PROGRAM, "--xml-file", str(file), "--simulate", f"--node-fail={name}"], check=True,
                          capture_output=True, timeout=_TIMEOUT_S)  # fmt: skip
    assert b"Executing Cluster Transition" in done.stdout, done.stdout[:1000]
    return _children_s() - began


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cib(cluster: Cluster) -> bytes:
    """The same cluster, all servers up and every group at its home, as a cluster information base."""
    told = Cib(no_quorum_policy="stop", symmetric_cluster="false")
    for server in cluster.server_names:
        told.server(server, {name: g.policy[0] == server for g in cluster.groups for name in g.resources})
    for group in cluster.groups:
        told.group(group.name, group.resources)
        for place, server in enumerate(group.policy):
            told.location(group.name, server, str(1000 - 10 * place))
    return told.encoded()
