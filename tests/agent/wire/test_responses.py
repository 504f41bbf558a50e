"""Which timeout of a monitor is proposed, by which rule, and what a status says of its answers."""

from __future__ import annotations

from typing import Any

import pytest

from agent.clpconf.model import Monitor
from agent.wire.report import ResponseReport
from agent.wire.status.responses import responses_entry, together

MONITOR = Monitor(name="genw1", type="genw", timeout_s=10.0)


def entry(delay_warning: int = 80, **figures: Any) -> dict[str, Any]:
    made = ResponseReport(**{"count": 100, "p99_ms": 100.0, "p999_ms": 100.0, "worst_ms": 100.0, **figures})
    found = responses_entry(made, MONITOR, delay_warning)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("figures", "rule", "proposed_ms"),
    [
        ({"worst_ms": 4100.0}, "worst", 10_000),
        ({"worst_ms": 900.0, "p999_ms": 900.0, "p99_ms": 100.0}, "tail", 10_000),
        ({"worst_ms": 900.0, "delay_warning": 10}, "warning", 10_000),
        ({"worst_ms": 3.0}, "least", 1000),
    ],
)
def test_each_rule_decides_where_it_asks_for_most(figures: dict[str, Any], rule: str, proposed_ms: int) -> None:
    found = entry(**figures)

    assert (found["rule"], found["proposed_ms"]) == (rule, proposed_ms)


def test_too_little_measured_proposes_nothing() -> None:
    found = entry(count=19)

    assert (found["proposed_ms"], found["rule"]) == (0, "")


def test_worst_is_told_as_share_of_the_timeout_and_what_is_newest() -> None:
    found = entry(worst_ms=4100.0, low_ms=1.0, mid_ms=2.0, high_ms=3.0, timeouts=2, failures=1)

    assert found["worst_percent"] == 41
    assert found["lately"] == [1.0, 2.0, 3.0]
    assert (found["timeouts"], found["failures"]) == (2, 1)
    assert entry()["lately"] is None


def test_one_timeout_holds_on_all_servers() -> None:
    assert together([entry(worst_ms=4100.0), None, entry(worst_ms=3.0), entry(count=1)]) == (10_000, "worst")
    assert together([None]) == (0, "")
