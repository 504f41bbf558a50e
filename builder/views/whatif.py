"""What would happen at every failure, with what runs and with the draft, side by side."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from kombu.exceptions import OperationalError

from builder import contents, selectors
from builder.models import WhatIf
from builder.tasks import play_whatif
from builder.views import common
from builder.whatif import end_lost
from webmanager import access

_KEPT = 5
_SHOWN = 500


@never_cache
@require_GET
def show(request: HttpRequest, key: int) -> HttpResponse:
    draft = common.draft_for_reading(request, key)
    end_lost()
    newest = draft.whatifs.defer("before", "after").first()
    context: dict[str, Any] = {"whatif": newest}
    if newest is not None and newest.ended:
        context |= _result(newest.result)
    if request.htmx:  # type: ignore[attr-defined]
        return common.page(request, "_whatif", {**context, "draft": draft})
    return common.draft_page(request, "whatif", draft, context)


@require_POST
def start(request: HttpRequest, key: int) -> HttpResponse:
    """It loads a core of the manager for minutes: operators may, one at a time for each draft."""
    draft = common.draft_for_reading(request, key)
    access.operator_or_403(request.user, draft.cluster)
    end_lost()
    running = draft.whatifs.filter(state__in=(WhatIf.State.WAITING, WhatIf.State.RUNNING))
    if request.POST.get("do") == "cancel":
        running.update(cancel=True)
        running.filter(state=WhatIf.State.WAITING).update(state=WhatIf.State.STOPPED)
    elif not running.exists():
        runs = selectors.running(draft.cluster or access.chosen_cluster(request))
        made = WhatIf.objects.create(
            draft=draft, revision=draft.revision, by=request.user.get_username(), after=bytes(draft.conf),
            before=contents.pack(runs.conf) if runs is not None else b"",
        )  # fmt: skip
        for old in draft.whatifs.values_list("pk", flat=True)[_KEPT:]:
            WhatIf.objects.filter(pk=old).delete()
        try:
            play_whatif.delay(made.pk)
        except (OSError, OperationalError):
            made.delete()
            common.told(request, _("The manager's message server does not answer, so nothing is played."))
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
