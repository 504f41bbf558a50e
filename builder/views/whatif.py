"""What would happen at every failure, with what runs and with the draft, side by side."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from builder import playing, selectors
from builder.views import common
from webmanager import access

_SHOWN = 500


@never_cache
@require_GET
def show(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_reading(request, key)
    newest = playing.newest(draft)
    context: dict[str, Any] = {"whatif": newest}
    if newest is not None and newest.ended:
        context |= _result(newest.result)
    if request.htmx:  # type: ignore[attr-defined]
        return common.page(request, "_whatif", {**context, "draft": draft})
    return common.draft_page(request, "whatif", draft, context)


@require_POST
def start(request: HttpRequest, key: int) -> HttpResponse:
    """For operators: it loads a core of the manager for minutes."""
    draft = common.draft_for_reading(request, key)
    access.operator_or_403(request.user, draft.cluster)
    if request.POST.get("do") == "cancel":
        playing.stop(draft)
    else:
        runs = selectors.running(draft.cluster or access.chosen_cluster(request))
        if why := playing.begin(draft=draft, runs=runs, by=request.user.get_username()):
            common.told(request, why)
    return redirect("builder-whatif", key=draft.pk)


def _result(result: dict[str, Any]) -> dict[str, Any]:
    """Failures of both sides in one table, first those that differ."""
    rows: dict[str, dict[str, Any]] = {}
    for side in ("before", "after"):
        for row in result.get(side, {}).get("rows", ()):
            rows.setdefault(row["text"], {"text": row["text"]})[side] = row
    found = list(rows.values())
    for row in found:
        row["differs"] = "before" in result and row.get("before") != row.get("after")
        row["open"] = not row.get("after", {}).get("covered", True)
    found.sort(key=lambda row: (not row["differs"], not row["open"]))
    sides = [_side(name, result[name]) for name in ("before", "after") if result.get(name)]
    return {"rows": found[:_SHOWN], "sides": sides, "two": "before" in result, "more": max(0, len(found) - _SHOWN)}


def _side(name: str, told: dict[str, Any]) -> dict[str, Any]:
    gaps = sum(not row["covered"] for row in told["rows"])
    return {"name": name, "told": told, "gaps": gaps, "count": len(told["rows"])}
