"""The page that goes back and forth in the past: /history/?at=SECONDS or ?event=ID, history.html."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webmanager import access
from webmanager.history import answers

_EVENTS_LISTED = 50
KINDS = {
    "failover": gettext_lazy("Failover"),
    "down": gettext_lazy("Server lost or stopped"),
    "error": gettext_lazy("Error"),
    "drill": gettext_lazy("Drill"),
    "request": gettext_lazy("Operator's request"),
    "move": gettext_lazy("Move or restart of a group"),
    "change": gettext_lazy("Change of the configuration"),
    "up": gettext_lazy("Server joined"),
}
SPANS = {
    900: gettext_lazy("15 minutes"),
    3600: gettext_lazy("1 hour"),
    6 * 3600: gettext_lazy("6 hours"),
    86400: gettext_lazy("1 day"),
    7 * 86400: gettext_lazy("7 days"),
    0: gettext_lazy("All"),
}


@never_cache
@require_GET
def history(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        raise Http404(_("No cluster has reported yet."))
    event, at, width = request.GET.get("event", ""), _asked_time(request), _asked_span(request)
    past = answers.state(cluster=cluster, at=at, event=event)
    if past is None:
        raise Http404(_("There is no such event (any more)."))
    begin, end = answers.window(at=past["at"], width=width, known=past["range"])
    request.cluster = cluster  # type: ignore[attr-defined]
    context: dict[str, Any] = {
        "past": past,
        "status": past["status"],
        "then": past["at"],
        "events": past["events"][: -_EVENTS_LISTED - 1 : -1],
        "line": answers.line(cluster=cluster, begin=begin, end=end),
        "span": width,
        "spans": [(str(seconds), words) for seconds, words in SPANS.items()],
        # Nobody operates on the past.
        "may_operate": False,
        "may_administer": False,
    }
    return render(request, "webmanager/history.html", context)


def _asked_time(request: HttpRequest) -> float | None:
    """Seconds since 1970, or a local date and time as browsers send it."""
    text = request.GET.get("at", "")[:40]
    if not text:
        return None
    found = answers.seconds(text)
    if found is None:
        try:
            given = datetime.fromisoformat(text)
            found = (given if given.tzinfo else timezone.make_aware(given)).timestamp()
        except (ValueError, OverflowError):
            raise BadRequest(_("“%(text)s” is not a time. Write it as 2026-11-23 03:12:07.") % {"text": text}) from None
    if not 0 <= found <= answers.LATEST:
        raise BadRequest(_("“%(text)s” is not a time. Write it as 2026-11-23 03:12:07.") % {"text": text})
    return found


def _asked_span(request: HttpRequest) -> int:
    text = request.GET.get("span", "")
    return int(text) if text.isdecimal() and int(text) in answers.SPANS else answers.SPAN
