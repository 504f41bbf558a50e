"""How long checks take: good answers only, of today, and told again only when something has changed."""

from __future__ import annotations

from agent.engine.answers import Answers, alike
from agent.engine.gaps import WINDOW_S
from agent.wire.report import ResponseReport

TIMEOUT_S = 2.0


def of(*seconds: float) -> Answers:
    answers = Answers(0.0, TIMEOUT_S)
    for at, one in enumerate(seconds):
        answers.good(one, float(at))
    return answers


def test_percentiles_and_the_longest_are_of_good_answers_only() -> None:
    answers = of(*[0.01] * 94, *[0.1] * 4, *[0.4] * 2)
    answers.bad(100.0, timed_out=True)
    answers.bad(101.0, timed_out=False)
    answers.bad(102.0, timed_out=False)

    told = answers.report(None)

    assert (told.count, told.timeouts, told.failures) == (100, 1, 2)
    assert 10 <= told.p50_ms <= 11
    assert 100 <= told.p95_ms <= 110
    assert (told.p99_ms, told.worst_ms, told.worst_at) == (400.0, 400.0, 98.0)


def test_newest_answers_are_told_by_shortest_middle_and_longest() -> None:
    answers = of(0.02, 0.3, 0.05)
    first = answers.report(None)
    answers.good(0.5, 4.0)
    second = answers.report(first)

    assert (first.low_ms, first.mid_ms, first.high_ms) == (20.0, 50.0, 300.0)
    assert (second.low_ms, second.mid_ms, second.high_ms) == (500.0, 500.0, 500.0)


def test_what_has_hardly_changed_is_not_told_again() -> None:
    answers = of(*[0.1] * 100)
    first = answers.report(None)
    for step in range(9):
        answers.good(0.099 if step % 2 else 0.0995, 100.0 + step)

    assert answers.report(first) is first
    answers.good(0.0999, 110.0)  # A tenth more than were told.
    assert answers.report(first).count == 110


def test_nothing_new_keeps_the_newest_and_failures_end_them() -> None:
    answers = of(0.1)
    first = answers.report(None)
    assert answers.report(first) is first

    answers.bad(5.0, timed_out=False)
    second = answers.report(first)
    assert (second.high_ms, second.failures, second.worst_ms) == (0.0, 1, 100.0)


def test_yesterday_is_forgotten_with_its_failures() -> None:
    answers = of(0.5)
    answers.bad(1.0, timed_out=True)
    answers.good(0.1, WINDOW_S)
    assert answers.report(None).timeouts == 1
    answers.good(0.1, 2 * WINDOW_S)

    told = answers.report(None)
    assert (told.timeouts, told.worst_ms, told.since) == (0, 100.0, round(WINDOW_S))


def test_small_differences_are_none() -> None:
    assert alike(0.9, 0.1)
    assert alike(110.0, 100.0)
    assert not alike(130.0, 100.0)
    assert not alike(70.0, 100.0)
    assert not alike(5.0, 0.0)
    assert alike(0.0, 0.0)


def test_a_report_without_answers_is_empty() -> None:
    assert Answers(7.0, TIMEOUT_S).report(None) == ResponseReport(since=7.0)
