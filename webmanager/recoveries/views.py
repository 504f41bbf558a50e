"""The pages; all are complete without JavaScript.

/recoveries/ recoveries.html (rows, filter) · /recoveries/ID/ recovery.html (row, line, notes)
/availability/ availability.html (rows, period) · /availability/GROUP/ availability_group.html (boards, trend, aim)
/groups/NAME/explain/ recovery_explain.html, htmx: _recovery_explain.html · /report/ report.html
"""

from __future__ import annotations

import math
import time
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from webmanager import access, explain, throttle
from webmanager.models import Cluster, Event
from webmanager.places import redirect_to
from webmanager.recoveries import charts, selectors, services, timeline, words
from webmanager.recoveries import report as reporting
from webmanager.recoveries.availability import Board
from webmanager.recoveries.models import Objective, Recovery

_ID_MOST = 2**62


def _page(request: HttpRequest, name: str, cluster: Cluster, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    return render(request, f"webmanager/{name}.html", context)


def _chosen(request: HttpRequest) -> Cluster:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        raise Http404(_("No cluster has reported yet."))
    return cluster


def _newest_event(cluster: Cluster) -> int:
    """From where the page's stream of events goes on."""
    newest = Event.objects.filter(cluster=cluster).order_by("-id").values_list("id", flat=True).first()
    return newest or 0


@never_cache
@require_GET
def recoveries(request: HttpRequest) -> HttpResponse:
    cluster = _chosen(request)
    asked = {key: request.GET.get(key, "")[:255] for key in ("group", "kind", "period", "before")}
    if asked["kind"] not in (*words.KINDS, "") or asked["period"] not in (*words.PERIODS, ""):
        raise BadRequest(_("There is no such filter."))
    before = asked["before"]
    known = before.isascii() and before.isdigit() and len(before) < 19
    since = time.time() - selectors.PERIODS[asked["period"]] if asked["period"] else None
    cursor = _newest_event(cluster)
    rows = selectors.recoveries(
        cluster=cluster, group=asked["group"], kind=asked["kind"], since=since, before=int(before) if known else None,
        limit=selectors.PAGE + 1,
    )  # fmt: skip
    shown = rows[: selectors.PAGE]
    context = {
        "rows": [_row(row) for row in shown],
        "next": shown[-1].pk if len(rows) > selectors.PAGE else "",
        "filter": asked,
        "groups": selectors.groups(cluster=cluster),
        "kinds": words.KINDS.items(),
        "periods": words.PERIODS.items(),
        "running": any(row.running for row in shown),
        "cursor": cursor,
    }
    return _page(request, "recoveries", cluster, context)


def _row(row: Recovery) -> dict[str, Any]:
    """How a recovery is told in lists."""
    end = row.ended if row.ended is not None else time.time()
    return {
        "id": row.pk,
        "group": row.group,
        "kind": words.KINDS[row.kind],
        "begun": row.begun,
        "source": row.source,
        "target": row.target,
        "why": words.trigger(row.trigger, row.subject),
        "planned": row.planned,
        "drill": row.drill,
        "look": words.LOOKS[row.result],
        "result": words.RESULTS[row.result],
        "running": row.running,
        "outage": _outage(row),
        "lasted": words.duration(max(0.0, end - row.begun)),
    }


def _outage(row: Recovery) -> str:
    if row.outage_from is None:
        return _("none")
    if row.outage_to is None:
        return _("%(lasted)s so far") % {"lasted": words.duration(max(0.0, time.time() - row.outage_from))}
    return words.duration(row.outage_s)


@never_cache
@require_GET
def recovery(request: HttpRequest, key: int) -> HttpResponse:
    row = selectors.recovery(key=key) if key <= _ID_MOST else None
    if row is None or not access.may_see(request.user, row.cluster):
        raise Http404(_("There is no such recovery (any more)."))
    context = {
        "row": _row(row),
        "recovery": row,
        "rule": row.rule,
        "line": timeline.of(row, time.time()),
        "notes": row.data.get("notes", []),
        "interval": words.duration(row.data["interval_s"]) if row.data.get("interval_s") else "",
        "running": row.running,
        "cursor": _newest_event(row.cluster),
    }
    return _page(request, "recovery", row.cluster, context)


@never_cache
@require_GET
def availability(request: HttpRequest) -> HttpResponse:
    cluster = _chosen(request)
    period = _period(request)
    status = access.get_status_or_404(cluster)
    account = selectors.account(cluster=cluster, period_s=selectors.PERIODS[period])
    aims = selectors.objectives(cluster=cluster)
    rows = []
    for group in status["groups"].values():
        board = account.board(group["name"], selectors.PERIODS[period])
        rows.append({"group": group, **_told(board, aims.get(group["name"])), "strip": charts.strip(board)})
    context = {
        "rows": rows,
        "period": period,
        "periods": words.PERIODS.items(),
        "since": account.now - selectors.PERIODS[period],
        "states": words.STATES.items(),
        "missed": sum(1 for row in rows if row["missed"]),
    }
    return _page(request, "availability", cluster, context)


def _period(request: HttpRequest) -> str:
    period = request.GET.get("period", "") or "30d"
    if period not in selectors.PERIODS:
        raise BadRequest(_("The period is one of %(known)s.") % {"known": ", ".join(selectors.PERIODS)})
    return period


def _told(board: Board, aim: Objective | None) -> dict[str, Any]:
    """A board in words, and whether it meets what is aimed at."""
    unplanned = board.percent_unplanned
    late = (
        aim is not None and aim.recovery_s is not None and board.worst_s is not None and board.worst_s > aim.recovery_s
    )
    low = aim is not None and aim.percent is not None and unplanned is not None and unplanned < aim.percent
    return {
        "percent": words.percent(board.percent),
        "unplanned": words.duration(board.unplanned_s) if board.known_s else "—",
        "planned": words.duration(board.planned_s) if board.known_s else "—",
        "unknown": words.duration(board.unknown_s),
        "unknown_share": round(100.0 * board.unknown_s / max(board.until - board.since, 1e-9)),
        "recoveries": board.recoveries,
        "median": words.duration(board.median_s),
        "worst": words.duration(board.worst_s),
        "aim": aim,
        "aim_percent": words.percent(aim.percent) if aim is not None and aim.percent is not None else "",
        "aim_recovery": words.duration(aim.recovery_s) if aim is not None and aim.recovery_s is not None else "",
        "late": late,
        "low": low,
        "missed": late or low,
    }


@never_cache
@require_http_methods(["GET", "POST"])
def availability_of_group(request: HttpRequest, name: str) -> HttpResponse:
    cluster = _chosen(request)
    if request.method == "POST":
        access.operator_or_403(request.user, cluster)
    status = access.get_status_or_404(cluster)
    group = access.get_object_or_404(status, "groups", name)
    if request.method == "POST":
        return _set_objective(request, cluster, name)
    account = selectors.account(cluster=cluster, period_s=max(selectors.PERIODS.values()), group=name)
    aim = selectors.objectives(cluster=cluster).get(name)
    boards = {period: account.board(name, seconds) for period, seconds in selectors.PERIODS.items()}
    period = _period(request)
    context = {
        "group": group,
        "boards": [
            {"period": words.PERIODS[key], "key": key, **_told(board, aim), "strip": charts.strip(board)}
            for key, board in boards.items()
        ],
        "trend": charts.trend(boards[period], aim.recovery_s if aim else None),
        "times": [(at, words.duration(lasted)) for at, lasted in reversed(boards[period].times)],
        "period": period,
        "periods": words.PERIODS.items(),
        "since": boards[period].since,
        "aim": aim,
        "states": words.STATES.items(),
        "rows": [_row(row) for row in selectors.recoveries(cluster=cluster, group=name, limit=10)],
    }
    return _page(request, "availability_group", cluster, context)


def _set_objective(request: HttpRequest, cluster: Cluster, name: str) -> HttpResponse:
    recovery_s = _number(request, "recovery_s", 0.1, 86400.0, _("Recovery time"))
    percent = _number(request, "percent", 0.0, 100.0, _("Availability"))
    by = f"{request.user.get_username()}@{throttle.client_address(request)}"
    services.set_objective(cluster=cluster, group=name, recovery_s=recovery_s, percent=percent, by=by)
    messages.success(request, _("The objective of %(group)s is stored.") % {"group": name})
    return redirect_to(cluster, "availability-group", name)


def _number(request: HttpRequest, field: str, least: float, most: float, label: str) -> float | None:
    """None when nothing was given: there is no such objective."""
    text = request.POST.get(field, "").strip().replace(",", ".")[:32]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        bounds = {"label": label, "text": text, "least": f"{least:g}", "most": f"{most:g}"}
        raise BadRequest(_("%(label)s: “%(text)s” is not a number from %(least)s to %(most)s.") % bounds)
    return value


@never_cache
@require_GET
def explain_group(request: HttpRequest, name: str) -> HttpResponse:
    cluster = _chosen(request)
    status = access.get_status_or_404(cluster)
    group = access.get_object_or_404(status, "groups", name)
    asked = {"cluster": cluster.name, "status": status, "group": name}
    context = {
        "group": group,
        "why": explain.why(cluster=cluster, group=name),
        "places": async_to_sync(explain.places)(**asked),
        "fates": [reporting.fate(one) for one in async_to_sync(explain.next_places)(**asked)],
    }
    part = "_recovery_explain" if request.htmx else "recovery_explain"  # type: ignore[attr-defined]
    return _page(request, part, cluster, context)


@never_cache
@require_GET
def report(request: HttpRequest) -> HttpResponse:
    cluster = _chosen(request)
    status = access.get_status_or_404(cluster)
    period = selectors.PERIODS["30d"]
    account = selectors.account(cluster=cluster, period_s=period)
    aims = selectors.objectives(cluster=cluster)
    boards = {name: account.board(name, period) for name in status["groups"]}
    context = {
        **reporting.of(status),
        "status": status,
        "groups": [
            {**group, **_told(boards[group["name"]], aims.get(group["name"]))} for group in status["groups"].values()
        ],
        "rows": [_row(row) for row in selectors.recoveries(cluster=cluster, limit=8)],
        "printed_by": f"{request.user.get_username()}@{throttle.client_address(request)}",
    }
    return _page(request, "report", cluster, context)
