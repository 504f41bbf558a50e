"""Applying a draft to the running cluster: what is known before, the wish, and the page that follows the change."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from builder import applying, change, selectors
from builder.models import Apply, Draft
from builder.precheck import Precheck, precheck
from builder.views import common
from webmanager import access, throttle
from webmanager import selectors as status_of
from webmanager import services as operations
from webmanager.models import Cluster
from webmanager.places import redirect_to

TIMES = {
    30: gettext_lazy("30 seconds"),
    60: gettext_lazy("1 minute"),
    120: gettext_lazy("2 minutes"),
    300: gettext_lazy("5 minutes"),
    600: gettext_lazy("10 minutes"),
    1800: gettext_lazy("30 minutes"),
    3600: gettext_lazy("60 minutes"),
    0: gettext_lazy("it stays without a confirmation"),
}
USUAL_S = 300
_LONGEST_WHY = 200
_LIVE_EVERY_S, _REST_EVERY_S = 1, 3
_NOTES_COME = timedelta(minutes=5)  # of servers that were not heard at the end


@dataclasses.dataclass(frozen=True)
class Wish:
    why: str = ""
    confirm_s: int = USUAL_S
    health: bool = False
    anyway: str = ""


@never_cache
@require_http_methods(["GET", "POST"])
def apply(request: HttpRequest, key: int) -> HttpResponse:
    """What is known of this draft before it is applied; and, when it is sent, the beginning."""
    draft = common.draft_for_reading(request, key)
    cluster = draft.cluster or access.chosen_cluster(request)
    if request.method == "POST":
        access.administrator_or_403(request.user, cluster)
        if common.revision_of(request) != draft.revision:
            return common.conflict(request, draft, common.revision_of(request), [])
        return _begin(request, draft, cluster, _wish(request))
    scripts = access.may_operate(request.user, cluster)  # It loads a server.
    return _page(request, draft, precheck(draft=draft, cluster=cluster, by=_by(request), scripts=scripts), Wish())


def _wish(request: HttpRequest) -> Wish:
    text = request.POST.get("confirm", "")
    if text not in map(str, TIMES):
        raise BadRequest(_("Choose one of the times that are offered."))
    why, anyway = (request.POST.get(name, "").strip()[:_LONGEST_WHY] for name in ("why", "anyway"))
    return Wish(why=why, confirm_s=int(text), health=bool(request.POST.get("health")), anyway=anyway)


def _begin(request: HttpRequest, draft: Draft, cluster: Cluster | None, wish: Wish) -> HttpResponse:
    known = precheck(draft=draft, cluster=cluster, by=_by(request), live=True)
    wrong = {}
    if not wish.why:
        wrong["why"] = _("Say why, for those who read the log later.")
    if known.live_errors and not wish.anyway:
        wrong["anyway"] = _("The servers lack something that this configuration needs. Say why it is applied anyway.")
    if wrong or known.hindrances or cluster is None:
        return _page(request, draft, known, wish, wrong, 422)
    row = async_to_sync(applying.begin)(
        cluster=cluster, draft=draft, user=request.user, by=_by(request), **dataclasses.asdict(wish)
    )
    if row is None:
        common.told(request, _("Another change of this cluster is under way already."))
        return redirect_to(cluster, "builder-change")
    return redirect("builder-applied", key=row.pk)


def _page(
    request: HttpRequest, draft: Draft, known: Precheck, wish: Wish, wrong: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:  # fmt: skip
    context = {
        "known": known,
        "findings": [common.shown(finding, draft) for finding in known.findings],
        "live_findings": [common.shown(finding, draft) for finding in known.live_findings],
        "whatif": draft.whatifs.defer("before", "after").first(),
        "wish": wish,
        "times": TIMES.items(),
        "wrong": wrong or {},
    }
    return common.draft_page(request, "apply", draft, context, status)


def _by(request: HttpRequest) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


# Following it.


@never_cache
@require_GET
def applied(request: HttpRequest, key: int) -> HttpResponse:
    """One application, from the delivery to its end."""
    row = selectors.get_apply_or_404(key)
    told = _told(row.cluster)
    applying.settle(row, _status(row.cluster), timezone.now())
    row.refresh_from_db()
    return _follow(request, row.cluster, change.shown(told, row), row)


@never_cache
@require_GET
def current(request: HttpRequest) -> HttpResponse:
    """What is under way in this cluster, whoever began it; or how the newest change ended."""
    cluster = access.chosen_cluster(request)
    told = _told(cluster)
    row = selectors.apply_of(cluster, told["id"] if told is not None else "")
    if row is not None:
        return redirect("builder-applied", key=row.pk)
    return _follow(request, cluster, change.shown(told), None)


def _follow(request: HttpRequest, cluster: Cluster | None, shown: dict[str, Any], row: Apply | None) -> HttpResponse:
    """The part that changes is sent when it has changed: `seen` says what the browser has."""
    request.cluster = cluster  # type: ignore[attr-defined]
    events = change.events(row) if row is not None else change.newest_events(cluster) if cluster is not None else []
    mark = _mark(shown, len(events))
    here = reverse("builder-applied", args=(row.pk,)) if row is not None else reverse("builder-change")
    every_s = _every_s(shown, row)
    context = {"change": shown, "row": row, "notes": events, "mark": mark, "here": here, "every_s": every_s}
    if request.htmx:  # type: ignore[attr-defined]
        if request.GET.get("seen") == mark:
            return HttpResponse(status=204)
        return common.page(request, "_change", context)
    return common.page(request, "change", context)


def _every_s(shown: dict[str, Any], row: Apply | None) -> int:
    """How often the browser asks; 0: nothing can change any more. What the servers wrote may arrive after the end, and
    the page that shows no change shows the next one."""
    if shown["live"] or (row is not None and not row.ended):
        return _LIVE_EVERY_S
    over = row is not None and row.ended_at is not None and timezone.now() - row.ended_at > _NOTES_COME
    return 0 if over else _REST_EVERY_S


def _mark(shown: dict[str, Any], count: int) -> str:
    """Of all but the countdown, which the browser goes on with by itself."""
    text = json.dumps([{**shown, "left_s": None}, count], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _status(cluster: Cluster | None) -> dict[str, Any] | None:
    return async_to_sync(status_of.status)(cluster=cluster.name) if cluster is not None else None


def _told(cluster: Cluster | None) -> dict[str, Any] | None:
    status = _status(cluster)
    return status["cluster"]["configuration"] if status is not None else None


@require_POST
def decide(request: HttpRequest) -> HttpResponse:
    """Confirm, return now, or stop the delivery. Returning is for operators too: it is the way back to what ran."""
    cluster = access.chosen_cluster(request)
    wish, key = request.POST.get("do", ""), request.POST.get("id", "")[:255]
    if wish == "stop":
        row = selectors.get_apply_or_404(int(key) if key.isdecimal() and len(key) < 19 else 0)
        access.administrator_or_403(request.user, row.cluster)
        applying.cancel(row)
        return redirect("builder-applied", key=row.pk)
    if wish == "confirm":
        access.administrator_or_403(request.user, cluster)
    elif wish == "return":
        access.operator_or_403(request.user, cluster)
    else:
        raise BadRequest(_("Choose to confirm or to return."))
    told = _told(cluster)
    if cluster is None or told is None or told["id"] != key or not told["phase"]:
        common.told(request, _("This change is over already."))
        return redirect_to(cluster, "builder-change")
    async_to_sync(operations.begin)(
        cluster=cluster, op=f"config_{wish}", target=key, server="", user=request.user, by=_by(request)
    )
    return redirect_to(cluster, "builder-change")
