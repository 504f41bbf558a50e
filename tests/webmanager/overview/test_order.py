"""A server whose clock is wrong: its events stand where they happened, and the manager says how wrong it is."""

from __future__ import annotations

from tests.webmanager.stack import note, report
from tests.webmanager.test_reducer import frame, reducer
from webmanager.skew import SURE, Skew

HOUR = 3600.0
NOW = 1_700_000_000.0  # of the manager's wall clock, which is `now` here


def told(node: str, number: int, at: float, *causes: str) -> dict:
    return note(number, id=f"{node}:1:{number}", server=node, time=at, causes=list(causes))


def two(ahead_s: float):
    """server2's clock is ahead by so much."""
    made = reducer("server1", "server2")
    made.feed("server1", frame("snapshot", 1, report("server1"), at=NOW), NOW)
    made.feed("server2", frame("snapshot", 1, report("server2"), at=NOW + ahead_s), NOW)
    return made


def ids(made) -> list[str]:
    return [event["id"] for event in made.events]


def test_events_of_a_clock_an_hour_ahead_stand_where_they_happened():
    made = two(HOUR)
    first = told("server1", 1, NOW + 1)
    middle = told("server2", 2, NOW + HOUR + 2)
    last = told("server1", 3, NOW + 3)
    made.feed("server1", frame("change", 2, notes=(first, last), at=NOW + 4), NOW + 4)
    made.feed("server2", frame("change", 2, notes=(middle,), at=NOW + HOUR + 4), NOW + 4)

    assert ids(made) == ["server1:1:1", "server2:1:2", "server1:1:3"]
    assert made.events[1]["time"] == NOW + 2
    assert made.events[1]["own_time"] == NOW + HOUR + 2
    assert made.agent_states(NOW + 4)["server2"]["ahead_s"] == HOUR
    assert made.agent_states(NOW + 4)["server1"]["ahead_s"] == 0.0


def test_events_of_a_clock_an_hour_behind_as_well():
    made = two(-HOUR)
    made.feed("server1", frame("change", 2, notes=(told("server1", 1, NOW + 1),), at=NOW + 3), NOW + 3)
    made.feed("server2", frame("change", 2, notes=(told("server2", 2, NOW - HOUR + 2),), at=NOW - HOUR + 3), NOW + 3)

    assert ids(made) == ["server1:1:1", "server2:1:2"]


def test_cause_of_a_server_without_a_connection_stands_before_its_effect():
    """Nobody has measured its clock, so only what follows from what tells the order."""
    made = two(0.0)
    effect = told("server1", 2, NOW + 2, "server3:1:1")
    made.feed("server1", frame("change", 2, notes=(effect,), at=NOW + 2), NOW + 2)
    made.feed("server2", frame("change", 2, notes=(told("server3", 1, NOW + HOUR),), at=NOW + 3), NOW + 3)

    assert ids(made) == ["server3:1:1", "server1:1:2"]


def test_clocks_that_agree_keep_their_times():
    made = two(0.2)
    made.feed("server2", frame("change", 2, notes=(told("server2", 1, NOW + 1.25),), at=NOW + 2.2), NOW + 2)

    assert made.events[0]["time"] == NOW + 1.25


def test_delay_of_a_frame_is_no_wrong_clock():
    clock = Skew()
    clock.heard(-4.0, 0.0)
    assert clock.ahead_s == 0.0
    for n in range(SURE):
        clock.heard(-0.01, 1.0 + n)
    assert clock.ahead_s == 0.0


def test_slow_clock_is_believed_of_several_frames():
    clock = Skew()
    for n in range(SURE):
        clock.heard(-4.0 - n % 2, float(n))
    assert clock.ahead_s == -4.0


def test_correction_is_steady_and_follows_a_clock_that_was_set():
    clock = Skew()
    clock.heard(100.0, 0.0)
    clock.heard(99.9, 1.0)
    assert clock.ahead_s == 100.0
    clock.heard(100.1, 2.0)  # It came sooner, so it tells better.
    assert clock.ahead_s == 100.1
    for n in range(100):
        clock.heard(0.0, 2.0 + n)
    assert clock.ahead_s == 0.0


def test_agent_that_starts_anew_has_a_new_clock():
    made = two(HOUR)
    made.hello("server2", "hash", NOW + 5)
    made.feed("server2", frame("snapshot", 1, report("server2"), at=NOW + 5), NOW + 5)

    assert made.agent_states(NOW + 5)["server2"]["ahead_s"] == 0.0
