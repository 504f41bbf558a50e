"""Quarantine of a flapping server: lost too often within a while, it takes no groups by itself until it was quiet.

Rules. A loss counts when a view is formed without a member that had not stopped in order, or with one that has
restarted meanwhile. Only a side with at least half of the old members counts: the smaller side of a cut is the one that
was lost. Losses older than the window are forgotten. In quarantine a server keeps what it runs and obeys the operator;
by itself a group goes there only when no other server of its policy can take it - better there than nowhere. An
operator may end it early.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from agent.engine.core import Core
from agent.engine.membership import Membership
from agent.engine.view import Proposal
from agent.wire.peer import Quarantine, Table

_ORDERLY = ("stopped", "leaving")


def with_losses(core: Core, membership: Membership, proposal: Proposal, table: Table) -> Table:
    """`table` with what this proposal says about members of the view before."""
    cluster = core.cluster
    old = max((p.report for p in proposal.promises.values()), key=lambda r: r.epoch).members
    incarnations = dict(table.incarnations)
    for server in old:
        if server not in proposal.members and membership.peers[server].service in _ORDERLY:
            incarnations.pop(server, None)
    lost = [s for s in old if s in incarnations and s not in proposal.members]
    for server, promise in proposal.promises.items():
        if incarnations.get(server, promise.report.incarnation) != promise.report.incarnation:
            lost.append(server)
        incarnations[server] = promise.report.incarnation
    for server in lost:
        if server not in proposal.members:
            del incarnations[server]  # Counted; its return is no second loss.
    if not cluster.quarantine_count or len(proposal.members) * 2 < len(old):
        return replace(table, incarnations=incarnations)
    tables = [p.table for p in proposal.promises.values()]
    return _counted(core, replace(table, incarnations=incarnations), tables, lost, proposal.cause)


def _counted(core: Core, table: Table, tables: Iterable[Table], lost: Iterable[str], cause: str) -> Table:
    """After a cut each side has seen other losses: they count together."""
    lost_at: dict[str, tuple[float, ...]] = {}
    quarantine: dict[str, Quarantine] = {}
    for each in tables:
        for server, at in each.lost_at.items():
            if kept := _recent(core, (*lost_at.get(server, ()), *at)):
                lost_at[server] = kept
        for server, found in each.quarantine.items():
            if server not in quarantine or quarantine[server].until < found.until:
                quarantine[server] = found
    for server in lost:
        lost_at[server] = (*lost_at.get(server, ()), core.now)
        if len(lost_at[server]) >= core.cluster.quarantine_count:
            quarantine[server] = _begin(core, server, len(lost_at[server]), cause)
    return replace(table, lost_at=lost_at, quarantine=quarantine)


def over(core: Core, quarantine: dict[str, Quarantine]) -> dict[str, Quarantine]:
    """What is left of it now; wakes the engine at the next end."""
    latest = core.now + core.cluster.quarantine_s  # Another coordinator's clock may show more than ours.
    left = {s: replace(q, until=latest) if q.until > latest else q for s, q in quarantine.items() if q.until > core.now}
    for server in quarantine.keys() - left.keys():
        core.note("cp", 62, "server", server, server, rule="quarantine", causes=(quarantine[server].cause,))
    if left:
        core.timers["quarantine"] = min(q.until for q in left.values())
    return left


def release(core: Core, table: Table, server: str, cause: str) -> dict[str, Any]:
    """What of the table changes when an operator ends it; its losses are forgotten, or the next one would renew it."""
    core.note("cp", 62, "server", server, server, rule="operator", causes=(cause,))
    return {
        "quarantine": {s: q for s, q in table.quarantine.items() if s != server},
        "lost_at": {s: at for s, at in table.lost_at.items() if s != server},
    }


def clock(seconds: float) -> str:
    """Steady seconds since 1970 as the administrator reads a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _recent(core: Core, at: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted({min(t, core.now) for t in at if t > core.now - core.cluster.quarantine_window_s}))


def _begin(core: Core, server: str, times: int, cause: str) -> Quarantine:
    cluster = core.cluster
    until = core.now + cluster.quarantine_s
    note = core.note("cp", 61, "server", server, server, str(times), f"{cluster.quarantine_window_s:g}", clock(until),
                     rule="quarantine", causes=(cause,))  # fmt: skip
    return Quarantine(until=until, times=times, window_s=cluster.quarantine_window_s, cause=note)
