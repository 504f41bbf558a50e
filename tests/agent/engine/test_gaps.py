"""The distributions of silences: fixed size, never too low, and of today."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from agent.engine.detector import Detector
from agent.engine.gaps import WINDOW_S, Figures, Gaps, Meter

INTERVAL, TIMEOUT = 0.1, 0.5


def of(*gaps_s: float, limit_s: float = math.inf) -> Gaps:
    gaps = Gaps(0.0, limit_s)
    for at, gap_s in enumerate(gaps_s):
        gaps.add(gap_s, float(at))
    return gaps


def test_percentiles_stand_for_the_share_that_does_not_exceed_them() -> None:
    figures = of(*[0.1] * 980, *[0.2] * 15, *[0.3] * 4, 0.45).today()

    assert figures.beats == 1000
    assert 100 <= figures.p50_ms <= 110
    assert 200 <= figures.p99_ms <= 219
    assert 300 <= figures.p999_ms <= 328
    assert (figures.worst_ms, figures.worst_at) == (450.0, 999.0)


@given(st.lists(st.floats(1e-7, 1e5), min_size=1, max_size=60), st.sampled_from([0.5, 0.99, 0.999]))
def test_percentile_is_never_too_low_and_at_most_a_bucket_too_high(values: list[float], share: float) -> None:
    figures = of(*values).today()
    told = {0.5: figures.p50_ms, 0.99: figures.p99_ms, 0.999: figures.p999_ms}[share] / 1000
    true = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

    assert told >= min(true, max(values)) - 1e-4 or true > 3600
    assert told <= max(true * 2 ** (1 / 8), 0.00107) + 1e-4


def test_silence_beyond_the_timeout_is_an_interruption() -> None:
    figures = of(0.1, 0.7, 0.1, 2.5, 0.2, limit_s=0.5).today()

    assert (figures.beats, figures.worst_ms) == (3, 200.0)
    assert (figures.cuts, figures.cut_ms) == (2, 2500.0)


def test_today_forgets_what_is_older_than_two_windows_and_ever_does_not() -> None:
    gaps = of(0.4, 0.1)
    told = []
    for hour in range(0, 49, 6):
        now = hour * 3600.0
        gaps.turn(now)
        gaps.add(0.1, now)
        told.append((hour, gaps.today().worst_ms, gaps.today().ever_ms))

    assert [hour for hour, worst_ms, _ in told if worst_ms == 400.0] == [0, 6, 12, 18]
    assert {ever_ms for _, _, ever_ms in told} == {400.0}
    assert sum(count for _, count in gaps.ever()) == 2 + len(told)
    assert gaps.today().since == 48 * 3600.0 - WINDOW_S


def test_nothing_measured_is_told_as_nothing() -> None:
    assert of().today() == Figures(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0)


def listening() -> tuple[Detector, Detector, Meter]:
    """a hears b on two LANs, from 0.0 to 1.0."""
    a = Detector("a", ["a", "b"], ["lan0", "lan1"], INTERVAL, TIMEOUT, False, 0.0)
    b = Detector("b", ["a", "b"], ["lan0", "lan1"], INTERVAL, TIMEOUT, False, 0.0)
    meter = a.measure(0.0)
    beats(a, b, 1, 11)
    return a, b, meter


def beats(a: Detector, b: Detector, first: int, last: int, paths: tuple[int, ...] = (0, 1)) -> None:
    for step in range(first, last):
        packet = b.beat(step / 10)
        for path in paths:
            a.heard(packet, path, step / 10)
        a.judge(step / 10)


def test_gaps_are_kept_for_each_path_and_for_all_of_a_peer() -> None:
    a, b, meter = listening()
    beats(a, b, 11, 14, paths=(1,))  # lan0 is silent for 0.4 s, the peer is not
    beats(a, b, 14, 20)

    lan0, lan1 = (meter.paths["b"][path].today() for path in ("lan0", "lan1"))
    assert (lan0.beats, lan0.worst_ms, lan0.worst_at) == (15, 400.0, 1.4)
    assert (lan1.beats, lan1.worst_ms) == (18, 100.0)
    assert (meter.peers["b"].today().beats, meter.peers["b"].today().worst_ms) == (18, 100.0)


def test_the_absence_of_a_restarted_peer_is_no_gap() -> None:
    a, _, meter = listening()
    again = Detector("b", ["a", "b"], ["lan0", "lan1"], INTERVAL, TIMEOUT, False, 1.4, incarnation=2)
    beats(a, again, 14, 20)

    assert meter.peers["b"].today().worst_ms == 100.0
    assert meter.peers["b"].today().cuts == 0


def test_a_peer_that_lived_on_unheard_was_interrupted() -> None:
    a, b, meter = listening()
    for step in range(11, 21):
        b.beat(step / 10)
        a.judge(step / 10)
    beats(a, b, 21, 25)

    figures = meter.peers["b"].today()
    assert (figures.worst_ms, figures.cuts, figures.cut_ms) == (100.0, 1, 1100.0)


def test_age_of_the_lease_counts_once_for_each_renewal() -> None:
    meter = Meter(0.0, TIMEOUT, {})
    for since, now in ((1.0, 1.1), (1.0, 1.15), (1.1, 1.2), (1.2, 1.45)):
        meter.lease_renewed(since, now)

    figures = meter.lease.today()
    assert (figures.beats, figures.worst_ms, figures.worst_at) == (2, 350.0, 1.45)


def test_without_measure_nothing_is_kept() -> None:
    a = Detector("a", ["a", "b"], ["lan0"], INTERVAL, TIMEOUT, False, 0.0)

    assert all(peer.gaps is None for peer in a._others)


def test_the_longest_since_the_last_telling_begins_anew_with_each() -> None:
    gaps = of(0.1, 0.4)

    assert gaps.told().lately_ms == 400.0
    assert gaps.told().lately_ms == 0.0
    gaps.add(0.2, 5.0)
    assert (gaps.told().lately_ms, gaps.today().worst_ms, gaps.today().lately_ms) == (200.0, 400.0, 0.0)
