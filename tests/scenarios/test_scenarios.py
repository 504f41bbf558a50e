"""Golden stories: each plays as recorded, breaks no promise, replays identically and explains itself.

A changed trace is read before it is recorded anew: OPENCLP_RECORD=1 pytest tests/scenarios, then git diff.
"""

from __future__ import annotations

import difflib
import os
import re
from functools import cache
from pathlib import Path

import pytest

from agent.catalog import specs
from agent.clpconf.load import load
from agent.clpconf.model import Cluster
from agent.engine.engine import Engine
from agent.sim.explain import DECISIONS, roots
from agent.sim.script import play, transcript
from agent.sim.world import World

HERE = Path(__file__).parent
STORIES = sorted(directory.name for directory in HERE.iterdir() if (directory / "script").is_file())
DEFAULTS = {name: spec.depends_on for name, spec in specs().items()}

#: What nothing has to explain: a heartbeat seen or missed, a stall, a lease, a start, a monitor's finding, a person.
EVIDENCE = {
    *(("nm", event) for event in (1, 2, 3, 4)),
    *(("cp", event) for event in (4, 5, 7, 8, 13, 14)),
    ("pm", 1), ("rm", 9), ("apisv", 1),
}  # fmt: skip


def cluster(story: str) -> Cluster:
    loaded = load((HERE / story / "clp.conf").read_bytes(), specs())
    assert loaded.cluster is not None, loaded.errors
    return loaded.cluster


def script(story: str) -> str:
    return (HERE / story / "script").read_text()


@cache
def played(story: str) -> World:
    return play(cluster(story), script(story), defaults=DEFAULTS, record=True)


def times(world: World, server: str, what: str, text: str) -> list[float]:
    """When this line was written."""
    rows = [re.match(r" *([\d.]+) (\S+) +(\S+) +(.*)", line) for line in world.lines]
    return [float(r[1]) for r in rows if r and (r[2], r[3]) == (server, what) and r[4].startswith(text)]


@pytest.mark.parametrize("story", STORIES)
def test_story_goes_as_recorded(story: str) -> None:
    found = transcript(played(story))
    expected = HERE / story / "trace.expect"
    if os.environ.get("OPENCLP_RECORD") == "1":
        expected.write_text(found)
    recorded = expected.read_text().splitlines()
    diff = list(difflib.unified_diff(recorded, found.splitlines(), str(expected), "now", lineterm="", n=2))
    assert not diff, "\n" + "\n".join(diff)


@pytest.mark.parametrize("story", STORIES)
def test_story_breaks_no_promise_and_finds_no_fault_in_its_configuration(story: str) -> None:
    assert played(story).violations == []
    findings = load((HERE / story / "clp.conf").read_bytes(), specs()).findings
    assert [f for f in findings if f.severity == "error"] == []


@pytest.mark.parametrize("story", STORIES)
def test_story_replays_identically(story: str) -> None:
    again = play(cluster(story), script(story), defaults=DEFAULTS)

    assert again.digest() == played(story).digest()


@pytest.mark.parametrize("story", STORIES)
def test_feeding_the_recorded_events_to_a_new_engine_gives_the_same_state(story: str) -> None:
    for machine in played(story).machines.values():
        if machine.incarnation == 0:
            continue
        engine = Engine(cluster(story), machine.name, machine.incarnation, machine.saved, DEFAULTS)
        for event, now in machine.records:
            engine.handle(event, now)

        assert machine.records
        assert engine.notes == machine.engine.notes
        assert engine.report == machine.engine.report
        assert engine.table == machine.engine.table


@pytest.mark.parametrize("story", STORIES)
def test_every_decision_follows_from_evidence(story: str) -> None:
    notes = played(story).notes
    decisions = [note for note in notes.values() if (note.module, note.event) in DECISIONS]
    assert decisions

    for note in decisions:
        for root in roots(notes, note):
            assert (root.module, root.event) in EVIDENCE, (
                f"{note.text} rests on: {root.module}:{root.event} {root.text}"
            )


@pytest.mark.parametrize("story", STORIES)
def test_story_has_a_short_readme(story: str) -> None:
    assert 3 <= len((HERE / story / "README").read_text().splitlines()) <= 6


# What the recorded traces must never lose, said apart from them ---------------------------------------------------


def test_minority_has_stopped_before_the_majority_starts() -> None:
    world = played("split_majority")
    cut, timeout_s = times(world, "-", "split", "")[0], world.cluster.timeout_s

    (stopped,) = times(world, "server1", "rc:21", "Group failover1 is offline on server1")
    (started,) = times(world, "server2", "rc:10", "Group failover1 is starting on server2")

    assert cut + 0.5 * timeout_s < stopped < cut + 0.9 * timeout_s
    assert cut + timeout_s <= started < cut + 1.1 * timeout_s


def test_paused_server_is_reset_before_the_majority_starts() -> None:
    world = played("paused_server_majority_fenced")

    (reset,) = times(world, "server1", "watchdog", "reset")
    (started,) = times(world, "server2", "rc:10", "Group failover1 is starting on server2")

    assert reset < started


def test_server_that_was_counted_out_stops_at_once_when_it_learns_it() -> None:
    woken = times(played("paused_server_unsafe_wakes"), "-", "overlap", "of failover1 is over")
    deaf = times(played("one_way_deafness_two_servers"), "-", "overlap", "of failover1 is over")

    assert woken[0] < 30.0 + 0.5
    assert deaf[0] < 15.0 + 1.5 * 3.0


@pytest.mark.parametrize("story", ["one_lan_cut", "one_way_deafness_three_servers"])
def test_partial_fault_of_the_network_moves_nothing(story: str) -> None:
    moved = [n.text for n in played(story).notes.values() if n.time > 10 and n.module == "rc"]

    assert moved == []


def test_crash_costs_little_more_than_the_timeout() -> None:
    world = played("coordinator_crash")

    (online,) = times(world, "server2", "rc:11", "Group failover1 is online on server2")

    assert online - 15.0 < 1.1 * world.cluster.timeout_s


def test_requests_are_carried_out_once_and_answered_the_same_each_time() -> None:
    world = played("request_to_old_coordinator_repeated")

    answers = [a for a in world.machines["server3"].answers if a.id == "move1"]
    moves = [n for n in world.notes.values() if (n.module, n.event) == ("rc", 50) and n.params[2] == "server3"]

    assert {(a.code, a.text) for a in answers} == {(0, "Done.")}
    assert len(moves) == 1


def test_returning_server_takes_nothing_back() -> None:
    assert played("server_returns").active_on("failover1") == ["server2"]
    assert played("server_leaves_and_returns").active_on("failover1") == ["server2"]
