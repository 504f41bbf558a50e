"""How fast the monitors answer, as shares of their timeouts, and which timeout would be safe.

Rules of this file: the proposed timeout of a monitor on one server is the largest of
- twice the longest good answer (rule "worst");
- the answer of one check in 10 000, drawn on from those of one in 100 and one in 1000 (rule "tail"): it is more than
  the worst only while little was measured;
- what keeps the longest answer below the delay warning of the cluster (rule "warning"), where that is below half;
- one second (rule "least"): a loaded machine needs more than that now and then, whatever it did today;
rounded up to a number that looks chosen. It is proposed from ENOUGH good answers on. Checks that were given up are told
beside it: nobody knows from here whether the thing hung or the timeout is too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import ResponseReport
from agent.wire.status.silences import chosen_ms, percent

ENOUGH = 20
_LEAST_MS = 1000.0


def responses_entry(report: ResponseReport | None, monitor: model.Monitor, delay_warning: int) -> dict[str, Any] | None:
    """None before anything was measured."""
    if report is None:
        return None
    proposed_ms, rule = _proposal(report, delay_warning)
    return {
        "p50_ms": report.p50_ms, "p95_ms": report.p95_ms, "p99_ms": report.p99_ms, "p999_ms": report.p999_ms,
        "worst_ms": report.worst_ms, "worst_at": report.worst_at,
        "worst_percent": percent(report.worst_ms, monitor.timeout_s) if monitor.timeout_s else 0,
        "count": report.count, "timeouts": report.timeouts, "failures": report.failures, "since": report.since,
        "lately": [report.low_ms, report.mid_ms, report.high_ms] if report.high_ms else None,
        "proposed_ms": proposed_ms, "rule": rule,
    }  # fmt: skip


def together(found: Iterable[Mapping[str, Any] | None]) -> tuple[int, str]:
    """One timeout holds on all servers: the largest of the proposals, with its rule; (0, "") when there is none."""
    proposals = [(one["proposed_ms"], one["rule"]) for one in found if one and one["proposed_ms"]]
    return max(proposals, default=(0, ""))


def _proposal(report: ResponseReport, delay_warning: int) -> tuple[int, str]:
    if report.count < ENOUGH:
        return 0, ""
    needs = {
        "worst": 2 * report.worst_ms,
        "tail": report.p999_ms * (report.p999_ms / report.p99_ms) if report.p99_ms else 0.0,
        "warning": report.worst_ms * 100 / delay_warning if 0 < delay_warning < 50 else 0.0,
        "least": _LEAST_MS,
    }
    rule = max(needs, key=lambda name: needs[name])
    return chosen_ms(needs[rule]), rule
