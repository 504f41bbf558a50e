"""Recoveries found in the notes of the golden stories, kept in the database, and what is counted as available."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.wire.report import Note
from tests.scenarios.test_scenarios import played
from webmanager.recoveries.path import path
from webmanager.recoveries.sift import Found, sift
from webmanager.recoveries.steps import Step

LATER = 1e6
STORIES = (
    "server_crash", "operator_move", "monitor_restart_then_failover_then_final", "split_majority", "deactivation_fails",
    "cluster_stop_and_start", "failback_when_home_is_back", "move_target_dies_on_the_way", "exclusion_absolute",
)  # fmt: skip


@cache
def notes_of(story: str) -> tuple[tuple[Note, ...], dict[str, str]]:
    world = played(story)
    owner = {name: group.name for group in world.cluster.groups for name in group.resources}
    return tuple(world.notes.values()), owner


def found_in(story: str, group: str = "failover1", after: float = 5.0) -> list[Found]:
    notes, owner = notes_of(story)
    return [one for one in sift(notes, owner, LATER).found if one.group == group and one.begun > after]


def told(one: Found) -> tuple[str, str, bool, str, str, str]:
    return one.kind, one.trigger, one.planned, one.source, one.target, one.result


def outage(one: Found) -> float:
    assert one.outage_from is not None
    assert one.outage_to is not None
    return round(one.outage_to - one.outage_from, 3)


def test_crash_is_a_failover_from_the_last_heartbeat_to_online():
    (one,) = found_in("server_crash", "failover2")

    assert told(one) == ("failover", "server", False, "server2", "server3", "online")
    assert one.subject == "server2"
    assert one.rule == "failover-policy"
    assert one.outage_from == pytest.approx(15.002, abs=0.001)  # It died at 15.000, after its last heartbeat.
    assert outage(one) == 3.159
    assert [(s.kind, s.name, s.server, s.result) for s in one.steps] == [
        ("activate", "fip2", "server3", "ok"),
        ("activate", "exec2", "server3", "ok"),
    ]
    assert {(line.note.module, line.note.event) for line in one.lines} >= {
        ("cp", 19), ("nm", 4), ("nm", 2), ("cp", 2), ("rc", 60), ("rc", 10), ("rc", 30), ("rc", 11), ("rc", 61),
    }  # fmt: skip


def test_move_is_planned_and_interrupts_from_the_first_step_on():
    (one,) = found_in("operator_move")

    assert told(one) == ("move", "operator", True, "server1", "server2", "online")
    assert outage(one) == 0.390
    assert [step.kind for step in one.steps] == ["deactivate", "deactivate", "activate", "activate"]


def test_move_that_fails_on_the_way_is_not_planned_any_more():
    assert [told(one)[:3] for one in found_in("deactivation_fails")] == [("move", "operator", False)]
    assert [told(one)[:3] for one in found_in("move_target_dies_on_the_way")] == [("failover", "operator", False)]


def test_monitor_that_restarts_moves_and_gives_up_is_told_apart():
    found = found_in("monitor_restart_then_failover_then_final")

    assert [(one.kind, one.subject, one.target, one.result) for one in found] == [
        ("restart", "pidw1", "server1", "online"),
        ("failover", "pidw1", "server2", "online"),
        ("restart", "pidw1", "server2", "online"),
        ("failover", "pidw1", "server3", "online"),
        ("restart", "pidw1", "server3", "online"),
        ("failover", "pidw1", "server1", "online"),
        ("stop", "pidw1", "", "stopped"),
    ]
    assert found[-1].outage_to is None
    assert not any(one.planned for one in found)


def test_pretended_failure_is_planned_a_true_one_is_not():
    assert [(one.kind, one.planned) for one in found_in("monitor_dummy_failure_and_suspend")] == [
        ("restart", True),
        ("failover", True),
        ("restart", False),
    ]


def test_both_sides_of_a_cut_are_one_recovery():
    (one,) = found_in("split_majority")

    assert told(one) == ("failover", "partition", False, "server1", "server2", "online")
    assert [step.server for step in one.steps] == ["server1", "server1", "server2", "server2"]
    assert outage(one) == 1.605


def test_stop_of_the_cluster_is_one_planned_outage_until_it_is_started():
    stop, start = found_in("cluster_stop_and_start")

    assert told(stop) == ("stop", "operator", True, "server1", "", "stopped")
    assert outage(stop) == 11.201
    assert (start.kind, start.outage_from) == ("start", None)


def test_group_that_found_no_place_and_starts_later_is_one_recovery():
    one = found_in("exclusion_absolute", after=20.0)[-1]

    assert told(one) == ("failover", "server", False, "server3", "server3", "online")
    assert outage(one) == 15.715


def test_failback_names_the_server_that_returned():
    assert [told(one)[:5] for one in found_in("failback_when_home_is_back")][-1] == (
        "failback", "returned", False, "server2", "server1",
    )  # fmt: skip


def test_server_that_restarted_too_fast_to_be_missed_is_seen_all_the_same():
    first = found_in("flapping_server_in_quarantine")[0]

    assert (first.kind, first.trigger, first.subject) == ("start", "server", "server1")
    assert outage(first) > 0


def test_what_has_not_ended_is_running_and_grows():
    notes, owner = notes_of("server_crash")
    known = [note for note in notes if note.time < 18.1]

    (one,) = (one for one in sift(known, owner, 18.1).found if one.begun > 5)
    assert (one.result, one.ended, one.outage_to) == ("running", None, None)
    assert [(step.name, step.result) for step in one.steps] == [("fip2", "ok"), ("exec2", "running")]


def test_what_never_ended_is_given_up():
    notes, owner = notes_of("server_crash")
    known = [note for note in notes if note.time < 18.1]

    (one,) = (one for one in sift(known, owner, LATER).found if one.begun > 5)
    assert (one.result, one.outage_to) == ("failed", None)
    assert one.steps[-1].result == "cut"


@pytest.mark.parametrize("story", STORIES)
def test_order_of_arrival_does_not_matter(story):
    notes, owner = notes_of(story)
    shuffled = list(notes)
    random.Random(7).shuffle(shuffled)

    assert sift(shuffled, owner, LATER) == sift(notes, owner, LATER)


@pytest.mark.parametrize("story", STORIES)
def test_parts_sum_up_to_the_whole(story):
    for one in sift(*notes_of(story), LATER).found:
        begun = one.begun if one.outage_from is None else min(one.begun, one.outage_from)
        parts = path(begun, one.ended, one.verdict_at, one.decided_at, one.steps)
        check_path(parts, begun, one.ended)


def check_path(parts, begun, ended):
    if ended - begun <= 1e-9:
        return
    assert parts[0].begun == begun
    assert parts[-1].ended == ended
    for part, after in pairwise(parts):
        assert part.ended == after.begun
    assert all(part.lasted_s >= -1e-9 for part in parts)


times = st.floats(0, 100, allow_nan=False)
steps = st.lists(
    st.builds(
        lambda kind, a, b: Step(kind=kind, name="x", server="s", begun=min(a, b), ended=max(a, b), result="ok"),
        st.sampled_from(("activate", "deactivate", "wait", "fence")), times, times,
    ),
    max_size=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.tuples(times, times), st.one_of(st.none(), times), st.one_of(st.none(), times), steps)
def test_any_steps_make_a_path_without_gap(span, verdict_at, decided_at, made):
    begun, ended = sorted(span)
    check_path(path(begun, ended, verdict_at, decided_at, made), begun, ended)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STORIES), st.data())
def test_any_part_of_the_notes_is_taken(story, data):
    """Whatever is missing, comes twice or has a wrong time: no exception, and what is found is in order."""
    notes, owner = notes_of(story)
    some = data.draw(st.lists(st.sampled_from(notes), max_size=60))
    wrong = [replace(note, time=data.draw(st.floats(width=32))) for note in some[:5]]
    found = sift([*some, *wrong], data.draw(st.sampled_from([owner, {}])), LATER).found

    for one in found:
        assert one.ended is None or one.ended >= one.begun
        assert one.outage_to is None or (one.outage_from is not None and one.outage_to >= one.outage_from)
    assert len({(one.key, one.group) for one in found}) == len(found)
