"""The failover groups of a status: where each is active, and what every server says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.clpconf import model
from agent.wire.epoch import NO_EPOCH
from agent.wire.peer import GroupRecord, Table
from agent.wire.report import HOLDING, GroupReport
from agent.wire.status.seen import Seen, live_reports

_OFFLINE_GROUP = {"status": "Offline", "since": 0.0, "detail": ""}
_NOTHING_HEARD_GROUP = {"status": "Unknown", "since": 0.0, "detail": ""}


def groups_part(
    groups: Iterable[model.Group], seen: Mapping[str, Seen], table: Table | None
) -> dict[str, dict[str, Any]]:
    speaking = [(server, report.groups) for server, report in live_reports(seen)]
    last = [(server, one.report.groups) for server, one in seen.items() if one.report is not None and not one.live]
    silent = {server for server, one in seen.items() if not one.live}
    result = {}
    for group in groups:
        name = group.name
        live = {server: report for server, found in speaking if (report := found.get(name)) is not None}
        old = {
            server: report
            for server, found in last
            if (report := found.get(name)) is not None and report.state in HOLDING
        }
        result[name] = _group(group, live, old, silent, table)
    return result


def _group(
    group: model.Group,
    live: Mapping[str, GroupReport],
    old: Mapping[str, GroupReport],
    silent: set[str],
    table: Table | None,
) -> dict[str, Any]:
    active = [server for server, report in live.items() if report.state in HOLDING]
    record = (table.groups.get(group.name) if table else None) or GroupRecord()
    known = {} if active else _not_superseded(live, old)
    status = "Online Failure" if len(active) > 1 else live[active[0]].state if active else "Offline"
    return {
        "name": group.name,
        "status": "Unknown" if known else status,
        "current": active[0] if active else "",
        "active_on": active,
        "comment": group.comment,
        "policy": list(group.policy),
        "home": group.policy[0] if group.policy else "",
        "autostart": group.autostart,
        "since": live[active[0]].since if active else max((r.since for r in live.values()), default=0.0),
        "detail": _group_detail(active, known, live, record),
        "resources": list(group.resources),
        "held": record.held,
        "goal": record.goal,
        "servers": _group_servers(group, live, old, silent),
    }


def _not_superseded(live: Mapping[str, GroupReport], old: Mapping[str, GroupReport]) -> dict[str, GroupReport]:
    """Of what silent servers held last: that which no order of a later view can have replaced."""
    newest = max((report.epoch for report in live.values()), default=NO_EPOCH)
    return {server: report for server, report in old.items() if report.epoch >= newest}


def _group_detail(
    active: Sequence[str], known: Mapping[str, GroupReport], live: Mapping[str, GroupReport], record: GroupRecord
) -> str:
    if len(active) > 1:
        return f"Active on {' and '.join(active)} at the same time. Stop it on all of them but one."
    if active:
        return live[active[0]].detail
    if known:
        where = " and ".join(f"{report.state} on {server}" for server, report in known.items())
        return f"Last known: {where}, of which nothing is heard now."
    why = " ".join(f"{server}: {report.detail}" for server, report in live.items() if report.detail)
    if record.gave_up:
        return f"No server is left to try. {why}".strip()
    return why or ("Stopped by the operator." if record.held else "")


def _group_servers(
    group: model.Group, live: Mapping[str, GroupReport], old: Mapping[str, GroupReport], silent: set[str]
) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for server in dict.fromkeys((*group.policy, *live)):
        report = live.get(server)
        if report is not None:
            result[server] = {"status": report.state, "since": report.since, "detail": report.detail}
        elif server in old:
            last = old[server]
            result[server] = {"status": "Unknown", "since": last.since, "detail": f"Last known: {last.state}."}
        else:
            result[server] = _NOTHING_HEARD_GROUP if server in silent else _OFFLINE_GROUP
    return result
