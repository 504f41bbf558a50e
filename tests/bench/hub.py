"""hub: what one change costs the manager, from the agents' frames to the browsers' message, beside a status made anew.

Processor time of the thread, so that what else the machine does is not in it. Every agent brings the same change.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from agent.sim.steady import steady_world
from agent.wire.peer import Table
from agent.wire.report import GapReport, MonitorReport, PathReport, Report, ResourceReport
from agent.wire.status import Status, build_status, diff
from tests.bench.goals import Goal, Outcome, median
from tests.bench.large import large
from webmanager import frames
from webmanager.reducer import ClusterReducer, encode

SIZES = ((3, 12), (32, 1000))  # servers, resources
ROUNDS, QUICK = 100, 5
CHANGE_MS = {3: 2.0, 32: 10.0}
Say = Callable[[str], None]


@dataclass(slots=True)
class Times:
    """Milliseconds of each round."""

    first: list[float] = field(default_factory=list)  # the frame that brings the change
    again: list[float] = field(default_factory=list)  # the same from another agent
    status: list[float] = field(default_factory=list)
    message: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)  # a status made anew and compared, as a control
    frame_bytes: list[int] = field(default_factory=list)
    message_bytes: list[int] = field(default_factory=list)


def run(say: Say, *, quick: bool) -> Outcome:
    head = ("a resource changes, ms", "frame", "from another agent", "status", "message", "in all", "made anew")
    out = Outcome("hub: what a change costs the manager; medians of processor time", head)
    for servers, resources in SIZES:
        say(f"{servers} servers, {resources} resources")
        times = _measure(servers, resources, QUICK if quick else ROUNDS)
        first, again, status, message = (median(t) for t in (times.first, times.again, times.status, times.message))
        total = first + (servers - 1) * again + status + message
        figures = (first, again, status, message, total, median(times.whole))
        out.rows.append([f"{servers} servers, {resources} resources", *(f"{value:.2f}" for value in figures)])
        out.goals.append(Goal(f"a change, {servers} servers", total, CHANGE_MS[servers], "goal", 1.0, "ms"))
        out.notes.append(
            f"{servers} servers: a report is a frame of {median(times.frame_bytes) / 1000:.1f} kB and comes from "
            f"{servers} agents; the browsers' message has {median(times.message_bytes) / 1000:.1f} kB."
        )
    return out


def _measure(servers: int, resources: int, rounds: int) -> Times:
    cluster = large(servers, resources)
    world = steady_world(cluster, {group.name: group.policy[0] for group in cluster.groups}, {})
    reports = {name: heard(machine.engine.report) for name, machine in world.machines.items() if machine.engine}
    table = next(machine.engine.table for machine in world.machines.values() if machine.engine)
    reducer = ClusterReducer(cluster.name)
    reducer.configure(cluster)
    for node in reports:
        reducer.hello(node, "", 0.0)
        reducer.feed(node, frames.decode(_frame("snapshot", 1, reports, table)), 0.0)
    reducer.refresh(0.0)
    times, dice = Times(), random.Random(1)
    shown = _fresh(reducer)
    for number in range(2, rounds + 2):
        name = dice.choice(sorted(reports))
        reports[name] = changed(reports[name], number)
        shown = _round(reducer, number, {name: reports[name]}, times, shown)
    return times


def _round(reducer: ClusterReducer, rev: int, news: Mapping[str, Report], times: Times, shown: Status) -> Status:
    text, now = _frame("change", rev, news), rev / 1000  # within seconds: nobody falls silent
    times.frame_bytes.append(len(text))
    own = next(iter(news))
    watch = Watch()
    reducer.feed(own, frames.decode(text), now)
    times.first.append(watch.ms())
    changes = reducer.refresh(now)
    times.status.append(watch.ms())
    message = encode({"type": "change", "cluster": reducer.name, "rev": rev, "at": now, "changes": changes})
    times.message.append(watch.ms())
    times.message_bytes.append(len(message))
    assert changes, "the change is not seen"
    for node in reducer.agents.keys() - {own}:
        watch = Watch()
        reducer.feed(node, frames.decode(text), now)
        times.again.append(watch.ms())
    assert not reducer.stirred, "what was known already counts as news"
    watch = Watch()
    fresh = _fresh(reducer, now)
    found = diff(shown, fresh, ages=False)
    times.whole.append(watch.ms())
    assert [change[:2] for change in found] == [change[:2] for change in changes]
    return fresh


def _fresh(reducer: ClusterReducer, now: float = 0.0) -> Status:
    assert reducer.config is not None
    return build_status(reducer.config, reducer.sources(now), reducer.table(), reducer.stale_after_s)


class Watch:
    def __init__(self) -> None:
        self.start = time.thread_time()

    def ms(self) -> float:
        """Since the last time."""
        self.start, before = time.thread_time(), self.start
        return 1000 * (self.start - before)


def heard(report: Report) -> Report:
    """With the silences that a server measures within its first minutes."""
    gaps = GapReport(
        p50_ms=3000.1, p99_ms=3001.5, p999_ms=3010.2, worst_ms=3050.7, worst_at=60.5, since=1.5, ever_ms=3050.7
    )
    peers = [name for name in report.members if name != report.server]
    paths = {peer: dict.fromkeys(("lanhb1", "lanhb2"), PathReport(state="Normal", gaps=gaps)) for peer in peers}
    return msgspec.structs.replace(report, paths=paths, hears=dict.fromkeys(peers, gaps), heard=1)


def changed(report: Report, number: int) -> Report:
    """One resource that runs there is being activated, or is active again; its monitor has run."""
    name = next(itertools.islice((n for n, r in report.resources.items() if r.state != "Offline"), number % 3, None))
    state = "Online Pending" if report.resources[name].state == "Online" else "Online"
    resources = {**report.resources, name: ResourceReport(state=state, since=float(number))}
    monitors = dict(report.monitors)
    for monitor in itertools.islice(monitors, 1):
        monitors[monitor] = MonitorReport(state="Normal", elapsed_ms=float(number))
    return msgspec.structs.replace(report, seq=report.seq + 1, resources=resources, monitors=monitors)


def _frame(kind: str, rev: int, reports: Mapping[str, Report], table: Table | None = None) -> str:
    told = {name: {"report": report, "age_s": 0.0} for name, report in reports.items()}
    frame = {"type": kind, "rev": rev, "at": 0.0, "reports": told, "notes": []}
    return encode(frame if table is None else {**frame, "table": table})
