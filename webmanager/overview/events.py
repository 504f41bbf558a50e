"""The event log's pages:

/events/ events.html (events, next_cursor, filter, problems, seen, open_count, servers, kinds, modules)
/events/NUMBER/ event.html (note, chain, effects) · /events/rows _events.html: what came since `after`, X-Newest
/events/acks JSON: who acknowledged which of the rows that a page shows · /events/export?format=csv|json
POST /events/acknowledge: `one`, `upto` (a number), or `scope` = shown (`number`s) or all; with `comment`, the filter
and `seen`, the newest number that the page had shown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from agent.messages.catalog import MESSAGES
from webmanager import access, selectors, throttle
from webmanager.hub import hub
from webmanager.models import Cluster, Event
from webmanager.overview import acknowledging, attention, export, log
from webmanager.overview.filters import Filter

KINDS = ("cluster", "server", "group", "resource", "monitor", "heartbeat", "request")


def _cluster(request: HttpRequest) -> Cluster:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        raise Http404(_("No cluster has reported yet."))
    request.cluster = cluster  # type: ignore[attr-defined]
    return cluster


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


@never_cache
@require_GET
def events(request: HttpRequest) -> HttpResponse:
    cluster, wanted = _cluster(request), Filter.of(request.GET)
    seen = log.newest(cluster)
    found, cursor = log.page(cluster, wanted, request.GET.get("before", ""))
    status = async_to_sync(selectors.status)(cluster=cluster.name)
    context = {
        "events": found, "next_cursor": cursor, "filter": wanted, "problems": wanted.problems, "seen": seen,
        "older": bool(request.GET.get("before")), "open_count": log.count_open(cluster, wanted, seen),
        "servers": list(status["servers"]) if status else [], "kinds": KINDS,
        "modules": sorted({module for module, _number in MESSAGES}),
        "socket_path": f"/ws/overview/?{urlencode({'cluster': cluster.name})}",
    }  # fmt: skip
    return render(request, "webmanager/events.html", context)


@never_cache
@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """For pages that are open: the rows that arrived since."""
    cluster, wanted = _cluster(request), Filter.of(request.GET)
    newest = log.newest(cluster)  # Asked first: what arrives meanwhile is found again, and each row has an id.
    found = log.after(cluster, wanted, _number(request.GET.get("after", "")))
    response = render(request, "webmanager/_events.html", {"events": found, "acknowledging": True, "bare": True})
    response["X-Newest"] = str(newest)
    response["X-More"] = "yes" if len(found) == log.ROWS_MOST else ""
    return response


@never_cache
@require_GET
def acks(request: HttpRequest) -> HttpResponse:
    cluster = _cluster(request)
    numbers = [number for text in request.GET.getlist("number") if (number := _number(text))]
    return JsonResponse({"acknowledged": log.acknowledgements(cluster, numbers)})


@never_cache
@require_GET
def event(request: HttpRequest, number: int) -> HttpResponse:
    cluster = _cluster(request)
    found = _get_event_or_404(cluster, number)
    chain = log.chain(cluster, found)
    context = {"note": chain[0]["note"], "chain": chain[1:], "effects": log.effects(cluster, found)}
    return render(request, "webmanager/event.html", context)


def _get_event_or_404(cluster: Cluster, number: int) -> Event:
    found = Event.objects.filter(cluster=cluster, pk=number).first() if number < 2**62 else None
    if found is None:
        raise Http404(_("There is no such event; the oldest ones are removed."))
    return found


@never_cache
@require_GET
def download(request: HttpRequest) -> HttpResponseBase:
    form = request.GET.get("format", "csv")
    if form not in ("csv", "json"):
        raise BadRequest(_("“%(format)s” is no format. Known: csv, json.") % {"format": form[:20]})
    return export.respond(_cluster(request), Filter.of(request.GET), form)


@never_cache
@require_POST
def acknowledge(request: HttpRequest) -> HttpResponse:
    cluster = _cluster(request)
    access.operator_or_403(request.user, cluster)
    found, detail = _meant(request, cluster)
    count = acknowledging.acknowledge(
        cluster=cluster, found=found, who=request.user.get_username(), address=throttle.client_address(request),
        comment=request.POST.get("comment", ""), detail=detail,
    )  # fmt: skip
    async_to_sync(tell)(cluster.name)
    if request.headers.get("Accept", "").startswith("application/json"):
        return JsonResponse({"count": count})
    text = ngettext("%(count)d event acknowledged.", "%(count)d events acknowledged.", count) % {"count": count}
    messages.success(request, text)
    back = Filter.of(request.POST).as_dict()
    return redirect(f"{reverse('events')}?{urlencode({'cluster': cluster.name, **back})}")


async def tell(cluster: str) -> None:
    """The browsers of this process see at once what was acknowledged; the other processes look for themselves."""
    await attention.refresh(await hub().ready(), cluster)


def _meant(request: HttpRequest, cluster: Cluster) -> tuple[QuerySet[Event], dict[str, Any]]:
    sent, wanted = request.POST, Filter.of(request.POST)
    seen = _number(sent.get("seen", ""))
    if wanted.problems:
        raise BadRequest(" ".join(wanted.problems))
    if one := sent.get("one", ""):
        return acknowledging.these(cluster=cluster, ids=[one])
    if last := sent.get("upto", ""):
        event = _get_event_or_404(cluster, _number(last))
        return acknowledging.up_to(cluster=cluster, wanted=wanted, last=event, seen=seen)
    if sent.get("scope") == "shown":
        return acknowledging.these(cluster=cluster, ids=sent.getlist("number"))
    if sent.get("scope") == "all":
        return acknowledging.matching(cluster=cluster, wanted=wanted, seen=seen)
    raise BadRequest(_("Say which events: one, upto, or scope=shown or all."))
