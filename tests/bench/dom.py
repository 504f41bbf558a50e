"""dom: from an event in an agent's engine to its change in the DOM of a real browser, through the real manager.

One clock: agents stamp an event with the wall clock as it was at their start, going on steadily; the browser's
performance clock is the same kernel's. How far both drifted apart is measured and told.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import web
from tests.bench.goals import Goal, Outcome, median, quantile
from webmanager.demo.demo import Demo
from webmanager.demo.machine import BedError, until

ENOUGH = 100
MOVES = 24
MEDIAN_MS = 20.0
P99_MS = 100.0
WAIT_S = 20.0
Say = Callable[[str], None]

# What came by the page's socket, and when: the way up to there is not the page's.
LISTEN = """
window.benchHeard = [];
window.WebSocket = class extends WebSocket {
    constructor(...words) {
        super(...words);
        this.addEventListener("message", (event) => {
            window.benchHeard.push([(performance.timeOrigin + performance.now()) / 1000, event.data]);
        });
    }
};
"""

# When each event's line, and each group on each server as Online, was first in the document.
OBSERVE = """() => {
    const seen = { notes: {}, groups: [] };
    const at = () => (performance.timeOrigin + performance.now()) / 1000;
    const look = () => {
        const now = at();
        for (const item of document.querySelectorAll("clp-events li[data-id]")) seen.notes[item.dataset.id] ??= now;
        for (const card of document.querySelectorAll("clp-topology [data-server] .group-card")) {
            const server = card.closest("[data-server]").dataset.server;
            if (card.dataset.look === "good") online(card.dataset.group, server, now);
        }
    };
    const last = {};
    const online = (group, server, now) => {
        if (last[group] === server) return;
        last[group] = server;
        seen.groups.push([group, server, now]);
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
    window.benchSeen = seen;
}"""


def run(say: Say, *, quick: bool) -> Outcome:
    moves = 5 if quick else MOVES
    out = Outcome(
        f"dom: event in the engine -> changed in the browser, in ms; {moves} moves of a group in the demo",
        ("", "n", "min", "median", "p90", "p99", "max"),
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        before = _wall_minus_steady()
        with Demo(Path(directory) / "demo", ports=web.free_ports(), say=say) as demo:
            assert demo.console
            with web.page(demo.console, LISTEN) as page:
                page.evaluate(OBSERVE)
                start = time.time()
                arrivals = [_move(demo, number, say) for number in range(moves)]
                notes, seen = _collect(demo, page, start)
        drift_ms = 1000 * abs(_wall_minus_steady() - before)
    _fill(out, notes, seen, arrivals, quick=quick)
    out.notes.append(f"The wall clock and the agents' steady clock drifted {drift_ms:.1f} ms apart meanwhile.")
    return out


def _wall_minus_steady() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _move(demo: Demo, number: int, say: Say) -> tuple[str, str]:
    """A group goes to the next server of its policy, as an operator has it do; (group, server)."""
    group = demo.plan.groups[number % len(demo.plan.groups)]
    status = demo.cluster.status()
    current = status["groups"][group.name]["current"]
    target = group.policy[(group.policy.index(current) + 1) % len(group.policy)]
    request = {"id": f"bench{number}", "op": "group_move", "target": group.name, "server": target, "by": "bench"}
    answer = demo.cluster.ask(demo.bed.servers[0], {"op": "ask", "request": request, "wait_s": WAIT_S}, WAIT_S + 5)
    if not answer.get("ok"):
        raise BedError(f"{group.name} did not move to {target}: {answer}")
    demo.cluster.wait_online(WAIT_S)
    say(f"{group.name} moved to {target}")
    # Each move by itself, at no fixed time of anybody's schedule.
    time.sleep(random.uniform(0.3, 0.8))
    return group.name, target


def _collect(demo: Demo, page: Any, start: float) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """All events since `start`, of all agents' logs; what the page has seen of them."""
    notes: dict[str, dict[str, Any]] = {}
    for server in demo.bed.servers:
        answer = demo.cluster.ask(server, {"op": "events", "after": "", "limit": 1000})
        notes.update({note["id"]: note for note in answer["notes"] if note["time"] >= start})
    seen: dict[str, Any] = {"heard": {}}

    def complete() -> bool:
        seen.update(page.evaluate("window.benchSeen"))
        return bool(notes.keys() <= seen["notes"].keys())

    try:
        until(complete, "every event in the page", WAIT_S, 0.2)
    except BedError as error:
        missing = [note["text"] for key, note in notes.items() if key not in seen["notes"]]
        raise BedError(f"{error}: {len(missing)} of {len(notes)} are missing, as {missing[:3]}") from None
    for at, text in page.evaluate("window.benchHeard"):
        for note in json.loads(text).get("events", ()):
            seen["heard"].setdefault(note["id"], at)
    return notes, seen


def _fill(
    out: Outcome,
    notes: dict[str, dict[str, Any]],
    seen: dict[str, Any],
    arrivals: list[tuple[str, str]],
    *,
    quick: bool,
) -> None:
    listed = [1000 * (seen["notes"][key] - note["time"]) for key, note in notes.items()]
    pictured = []
    for group, server in sorted(set(arrivals)):
        # The n-th time that the group came Online there, by the engine and by the picture.
        decided = sorted(
            note["time"] for note in notes.values()
            if (note["kind"], note["name"], note["server"], note.get("after")) == ("group", group, server, "Online")
        )  # fmt: skip
        shown = [at for name, where, at in seen["groups"] if (name, where) == (group, server)]
        shown = [at for at in shown if decided and at >= decided[0]]
        if len(shown) != len(decided):
            raise BedError(
                f"the picture showed {group} on {server} {len(shown)} times, the engine {len(decided)} times"
            )
        pictured += [1000 * (b - a) for a, b in zip(decided, shown, strict=True)]
    every = listed + pictured
    heard = [1000 * (seen["heard"][key] - note["time"]) for key, note in notes.items() if key in seen["heard"]]
    for name, values in (
        ("event in the page's socket", heard), ("event in the list", listed),
        ("group in the picture", pictured), ("all changes", every),
    ):  # fmt: skip
        if values:
            figures = (min(values), median(values), quantile(values, 0.9), quantile(values, 0.99), max(values))
            out.rows.append([name, str(len(values)), *(f"{value:.1f}" for value in figures)])
    if len(every) < ENOUGH and not quick:
        raise BedError(f"only {len(every)} changes were seen, of at least {ENOUGH}")
    out.goals = [
        Goal("event -> DOM, median", median(every), MEDIAN_MS, "goal", 1.0, "ms"),
        Goal("event -> DOM, 99 %", quantile(every, 0.99), P99_MS, "goal", 1.0, "ms"),
    ]
