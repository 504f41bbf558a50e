"""Self-suspicion: how much later others are suspected, why, and for how long."""

from __future__ import annotations

import pytest

from agent.engine.detector import LEASE, Detector, LeaseLost, PeerLost, Stalled, Starved
from agent.engine.health import Health

INTERVAL, TIMEOUT = 0.1, 0.5


def test_mistrust_holds_for_a_timeout_and_goes_as_time_passes() -> None:
    health = Health(TIMEOUT)
    health.late(10.0, 0.3)

    told = [round(health.extra_s(10.0 + tenth / 10), 6) for tenth in range(10)]
    assert told == [0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.2, 0.1, 0.0, 0.0]


def test_delays_add_up_to_one_timeout_at_most() -> None:
    health = Health(TIMEOUT)
    told = []
    for step in range(5):
        health.late(10.0 + step / 10, 0.2)
        told.append(round(health.extra_s(10.0 + step / 10), 6))

    assert told == [0.2, 0.4, 0.5, 0.5, 0.5]


def test_late_daemon_counts_little_and_takes_nothing_away() -> None:
    health = Health(TIMEOUT)
    health.daemon_late(10.0, TIMEOUT / 2)
    assert health.extra_s(10.0) == 0.0
    health.daemon_late(10.0, 5.0)
    assert health.extra_s(10.0) == TIMEOUT / 4
    health.late(10.1, 0.3)
    health.daemon_late(10.1, 5.0)
    assert health.extra_s(10.1) == pytest.approx(0.425)


def test_word_of_it_is_given_once_until_it_is_over() -> None:
    health = Health(TIMEOUT)
    health.late(10.0, 0.1)
    assert health.to_tell(10.0) == 0.0  # Not worth a word.
    health.late(10.1, 0.1)
    assert health.to_tell(10.1) == pytest.approx(0.2)
    health.late(10.2, 0.1)
    assert health.to_tell(10.2) == 0.0
    health.late(11.5, 0.2)
    assert health.to_tell(11.5) == pytest.approx(0.3)


def running(majority: bool = False) -> tuple[Detector, Detector]:
    """a hears b and b hears a, until 2.0."""
    pair = [Detector(name, ["a", "b"], ["lan0"], INTERVAL, TIMEOUT, majority, 0.0) for name in ("a", "b")]
    for step in range(1, 21):
        for speaker, listener in (pair, pair[::-1]):
            listener.heard(speaker.beat(step / 10), 0, step / 10)
        for one in pair:
            one.judge(step / 10)
    return pair[0], pair[1]


def test_starved_detector_says_so_with_the_verdict() -> None:
    a, _ = running()

    assert a.judge(2.4) == [Starved(pytest.approx(0.3), pytest.approx(0.3))]


def test_two_delays_within_a_timeout_count_together() -> None:
    a, _ = running()
    a.judge(2.25)
    a.judge(2.5)  # Each 0.15 late: the last beat is 0.5 old, and we listened for a part of that only.
    a.judge(2.6)

    lost = [at for at in (2.65, 2.7, 2.75, 2.79, 2.81) if [v for v in a.judge(at) if isinstance(v, PeerLost)]]
    assert lost == [2.81]


def test_lease_is_never_longer_for_it() -> None:
    a, _ = running(majority=True)
    a.health.late(2.0, TIMEOUT)
    a.judge(2.0)

    times = [at / 100 for at in range(201, 260) if [v for v in a.judge(at / 100) if isinstance(v, LeaseLost)]]
    assert times[0] <= 2.0 + LEASE * TIMEOUT + 0.011


def test_stall_longer_than_the_timeout_leaves_nothing_to_mistrust() -> None:
    a, _ = running()
    a.health.late(2.0, 0.4)

    assert [type(v) for v in a.judge(3.0)] == [Stalled]
    assert a.health.extra_s(3.0) == 0.0
