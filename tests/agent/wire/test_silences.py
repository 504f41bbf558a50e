"""How near the silences come to the timeout, and the timeout that would be safe."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine import detector
from agent.wire.report import GapReport, HealthReport, PathReport, Report
from agent.wire.status.silences import LEASE, chosen_ms
from tests.agent.wire.test_status import cluster, report, status

CONFIG = cluster(interval_s=0.1, timeout_s=0.5)


def gaps(worst_ms: float, **more: Any) -> GapReport:
    figures = {"p50_ms": 100.0, "p99_ms": 104.0, "p999_ms": 105.0, "worst_at": 900.0, "since": 500.0}
    return GapReport(worst_ms=worst_ms, **{**figures, **more})


def shown(*reports: Report, **options: Any) -> dict[str, Any]:
    return status(*reports, config=CONFIG, **options)


def test_nothing_measured_is_no_statement() -> None:
    assert shown(report("server1"), report("server2"))["cluster"]["silence"] is None


def test_worst_of_all_servers_is_told_with_its_share_of_the_timeout() -> None:
    one = report("server1", hears={"server2": gaps(120), "server3": gaps(128, since=300.0)})
    other = report("server2", hears={"server1": gaps(205, worst_at=777.0, cuts=2, cut_ms=900.0)})

    assert shown(one, other)["cluster"]["silence"] == {
        "interval_ms": 100.0, "timeout_ms": 500.0, "worst_ms": 205, "worst_at": 777.0, "worst_percent": 41,
        "heard_by": "server2", "heard_of": "server1", "since": 300.0, "proposed_ms": 500, "rule": "worst",
        "cuts": 2, "cut_ms": 900.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("worst_ms", "more", "health", "expected"),
    [
        (101, {}, HealthReport(), (300, "interval")),
        (128, {}, HealthReport(), (300, "interval")),
        (160, {}, HealthReport(), (400, "worst")),
        (110, {"p99_ms": 104.0, "p999_ms": 250.0}, HealthReport(), (800, "tail")),
        (110, {}, HealthReport(late=GapReport(worst_ms=80.0)), (400, "late")),
        (110, {}, HealthReport(lease=GapReport(worst_ms=210.0)), (500, "lease")),
    ],
)
def test_proposal_is_the_largest_need(
    worst_ms: float, more: dict[str, float], health: HealthReport, expected: tuple[int, str]
) -> None:
    silence = shown(report("server1", hears={"server2": gaps(worst_ms, **more)}, health=health))["cluster"]["silence"]

    assert (silence["proposed_ms"], silence["rule"]) == expected


def test_server_of_which_nothing_is_heard_now_does_not_count() -> None:
    old = report("server2", hears={"server1": gaps(480)})
    silence = shown(report("server1", hears={"server2": gaps(120)}), old, ages={"server2": 60.0})

    assert silence["cluster"]["silence"]["worst_ms"] == 120
    assert silence["servers"]["server2"]["hears"] == {}
    assert silence["servers"]["server2"]["health"]["late"] is None


def test_longest_gap_of_a_path_is_that_of_today_unless_it_is_silent_now() -> None:
    paths = {
        "server2": {
            "lanhb1": PathReport(state="Normal", worst_gap_ms=0.0, gaps=gaps(160)),
            "lanhb2": PathReport(state="Error", worst_gap_ms=2100.0, gaps=gaps(160)),
        }
    }
    heartbeats = shown(report("server1", paths=paths))["servers"]["server1"]["heartbeats"]

    assert [heartbeats[lan]["peers"]["server2"]["worst_gap_ms"] for lan in ("lanhb1", "lanhb2")] == [160, 2100.0]
    assert heartbeats["lanhb1"]["peers"]["server2"]["gaps"]["worst_percent"] == 32


@pytest.mark.parametrize(
    ("least", "chosen"), [(0, 0), (1, 1), (205, 250), (250, 250), (251, 300), (801, 1000), (1000, 1000), (61000, 80000)]
)
def test_proposed_timeouts_look_chosen(least: float, chosen: int) -> None:
    assert chosen_ms(least) == chosen


def test_lease_is_that_of_the_detector() -> None:
    assert detector.LEASE == LEASE
