"""How near the silences between heartbeats come to the timeout, and which timeout would be safe.

Rules of this file: the proposed timeout is the largest of
- three intervals: two beats may be lost in a row (rule "interval");
- twice the longest silence of any server about any other, over all paths (rule "worst");
- the silence of one beat in 10 000, drawn on from those of one in 100 and one in 1000 (rule "tail"): it is more than
  the worst only while little was measured;
- twice an interval and the longest time that a heartbeat process had to wait for its CPU (rule "late");
- with majority: what keeps the longest wait for a renewal of the lease at two thirds of the lease (rule "lease");
rounded up to a number that looks chosen. Interruptions longer than the timeout are told beside it: nobody knows from
here whether somebody pulled a cable or the timeout is too short.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from agent.clpconf import model
from agent.wire.report import GapReport, Report
from agent.wire.status.seen import Seen

LEASE = 0.7  # of the timeout; the same as in agent.engine.detector
_LOOK_CHOSEN = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def silence_part(cluster: model.Cluster, seen: Mapping[str, Seen]) -> dict[str, Any] | None:
    """The worst of today and the proposal; None before anything was measured."""
    reports = [one.report for one in seen.values() if one.live and one.report is not None]
    heard = [(report.server, peer, gaps) for report in reports for peer, gaps in report.hears.items()]
    if not heard:
        return None
    server, peer, worst = max(heard, key=lambda one: one[2].worst_ms)
    needs = _needs(cluster, reports, [gaps for _, _, gaps in heard])
    rule = max(needs, key=lambda name: needs[name])
    timeout_ms = cluster.timeout_s * 1000
    return {
        "interval_ms": _tidy(cluster.interval_s * 1000),
        "timeout_ms": _tidy(timeout_ms),
        "worst_ms": worst.worst_ms,
        "worst_at": worst.worst_at,
        "worst_percent": percent(worst.worst_ms, cluster.timeout_s),
        "heard_by": server,
        "heard_of": peer,
        "since": min(gaps.since for _, _, gaps in heard),
        "proposed_ms": chosen_ms(needs[rule]),
        "rule": rule,
        "cuts": sum(gaps.cuts for _, _, gaps in heard),
        "cut_ms": max(gaps.cut_ms for _, _, gaps in heard),
    }


def gaps_entry(gaps: GapReport | None, timeout_s: float) -> dict[str, Any] | None:
    if gaps is None:
        return None
    return {
        "p50_ms": gaps.p50_ms, "p99_ms": gaps.p99_ms, "p999_ms": gaps.p999_ms,
        "worst_ms": gaps.worst_ms, "worst_at": gaps.worst_at, "worst_percent": percent(gaps.worst_ms, timeout_s),
        "since": gaps.since, "ever_ms": gaps.ever_ms, "cuts": gaps.cuts, "cut_ms": gaps.cut_ms,
        "lately_ms": gaps.lately_ms,
    }  # fmt: skip


def health_entry(report: Report | None, timeout_s: float) -> dict[str, Any]:
    if report is None:
        return {"suspects": False, "late": None, "lease": None, "daemon": None}
    health = report.health
    return {
        "suspects": health.suspects,
        "late": gaps_entry(health.late, timeout_s),
        "lease": gaps_entry(health.lease, timeout_s),
        "daemon": gaps_entry(health.daemon, timeout_s),
    }


def percent(gap_ms: float, timeout_s: float) -> int:
    return round(gap_ms / (timeout_s * 10))


def _needs(cluster: model.Cluster, reports: list[Report], heard: list[GapReport]) -> dict[str, float]:
    interval_ms = cluster.interval_s * 1000
    late_ms = max((r.health.late.worst_ms for r in reports if r.health.late is not None), default=0.0)
    lease_ms = max((r.health.lease.worst_ms for r in reports if r.health.lease is not None), default=0.0)
    return {
        "worst": 2 * max(gaps.worst_ms for gaps in heard),
        "interval": 3 * interval_ms,
        "tail": max(gaps.p999_ms * (gaps.p999_ms / gaps.p99_ms) if gaps.p99_ms else 0.0 for gaps in heard),
        "late": 2 * (interval_ms + late_ms),
        "lease": 1.5 * lease_ms / LEASE,
    }


def chosen_ms(least_ms: float) -> int:
    """Rounded up to a number that a person would choose."""
    if least_ms <= 0:
        return 0
    unit = 10.0 ** math.floor(math.log10(least_ms))
    return math.ceil(unit * next(step for step in _LOOK_CHOSEN if step * unit >= least_ms * (1 - 1e-9)))


def _tidy(ms: float) -> float:
    return round(ms, 3)
