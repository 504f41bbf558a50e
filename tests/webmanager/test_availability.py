"""What counts as available, planned, unplanned and not known."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webmanager.recoveries import charts, words
from webmanager.recoveries.availability import Down, Sight, board

ALL = [(0.0, 1000.0)]
SEEN = Sight(0.0, True)


def down(since, until, planned=False, kind="failover", result="online"):
    return Down(kind, planned, result, since, since, until)


def test_outages_planned_or_not_are_told_apart():
    found = board(0, 1000, SEEN, [down(100, 110), down(200, 250, planned=True, kind="move")], ALL)

    assert (found.up_s, found.unplanned_s, found.planned_s, found.unknown_s) == (940, 10, 50, 0)
    assert (found.percent, found.percent_unplanned) == (94.0, 99.0)
    assert (found.recoveries, found.median_s, found.worst_s) == (1, 10, 10)
    assert found.strip == (
        ("up", 0, 100), ("unplanned", 100, 110), ("up", 110, 200), ("planned", 200, 250), ("up", 250, 1000),
    )  # fmt: skip


def test_overlap_is_unplanned():
    found = board(0, 1000, SEEN, [down(100, 300, planned=True), down(200, 400)], ALL)
    assert (found.planned_s, found.unplanned_s) == (100, 200)


def test_what_the_manager_did_not_hear_is_neither_up_nor_down():
    found = board(0, 1000, SEEN, [], [(0, 400), (600, 1000)])
    assert (found.up_s, found.unknown_s, found.percent) == (800, 200, 100.0)


def test_outage_that_was_told_later_counts_although_nobody_listened():
    found = board(0, 1000, SEEN, [down(450, 500)], [(0, 400), (600, 1000)])
    assert (found.unplanned_s, found.unknown_s, found.known_s) == (50, 150, 850)


def test_nothing_is_known_before_the_first_sight():
    assert board(0, 1000, None, [], ALL).percent is None
    assert board(0, 1000, Sight(700, True), [], ALL).unknown_s == 700


def test_outage_that_is_not_over_lasts_until_now():
    found = board(0, 1000, SEEN, [down(900, None, result="failed")], ALL)
    assert (found.unplanned_s, found.times) == (100, ())


def test_outage_that_began_before_counts_from_the_edge():
    found = board(500, 1000, SEEN, [down(400, 600)], ALL)
    assert (found.unplanned_s, found.recoveries, found.times) == (100, 0, ())


def test_group_that_nobody_started_is_down_as_planned():
    start = Down("start", True, "online", 300, None, None)
    assert board(0, 1000, Sight(0, False), [], ALL).planned_s == 1000
    assert board(0, 1000, Sight(0, False), [start], ALL).planned_s == 300


seconds = st.integers(-50, 1050).map(float)
spans = st.tuples(seconds, seconds).map(sorted)
downs = st.lists(
    st.builds(
        lambda span, open_, planned: down(span[0], None if open_ else span[1], planned),
        spans, st.booleans(), st.booleans(),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(downs, st.lists(spans.map(tuple), max_size=4), st.one_of(st.none(), st.builds(Sight, seconds, st.booleans())))
def test_states_fill_the_time_without_gap_or_overlap(made, listened, sight):
    found = board(0.0, 1000.0, sight, made, listened)

    assert found.up_s + found.planned_s + found.unplanned_s + found.unknown_s == pytest.approx(1000.0)
    edge = 0.0
    for _, begin, end in found.strip:
        assert begin == edge
        assert end > begin
        edge = end
    assert edge == 1000.0
    assert found.percent is None or 0.0 <= found.percent <= 100.0
    lefts = [float(left) for one in charts.strip(found) for left in re.findall(r"M([\d.e-]+)", one["d"])]
    assert all(0 <= left <= charts.WIDTH for left in lefts)
    assert len(charts.trend(found, 3.0)["points"]) == len(found.times)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (100.0, "100 %"),
        (99.999999999, "99.99999 %"),
        (99.99995, "99.9999 %"),
        (99.5, "99.50 %"),
        (0, "0.00 %"),
    ],
)
def test_only_what_was_never_down_is_a_hundred(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"), (0.0001, "<1 ms"), (0.0964, "96 ms"), (0.9996, "1.00 s"), (3.1592, "3.16 s"), (9.996, "10.0 s"),
        (75, "75.0 s"), (3599, "59 min 59 s"), (86400 * 13 - 60, "13 d 0 h"), (None, "—"),
    ],
)  # fmt: skip
def test_durations_are_told_as_exactly_as_it_matters(value, text):
    assert words.duration(value) == text
