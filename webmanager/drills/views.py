"""The pages of drills: what was drilled and what came of it, a new one with its check, schedules and the window."""

from __future__ import annotations

import datetime
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webmanager import access, throttle
from webmanager import selectors as console
from webmanager.drills import forms, guard, schedules, selectors, services, words
from webmanager.drills.models import Window
from webmanager.hub import hub
from webmanager.models import Cluster
from webmanager.places import redirect_to

_FARTHEST = datetime.timedelta(days=366)


def _page(request: HttpRequest, name: str, cluster: Cluster | None, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    return render(request, f"webmanager/{name}.html", context)


def _by(request: HttpRequest) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


def _cluster(request: HttpRequest) -> Cluster:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        raise Http404(_("No cluster has reported yet."))
    return cluster


@never_cache
@require_GET
def drills(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    found = selectors.drills(cluster=cluster, before=request.GET.get("before", "")) if cluster else []
    found = found or []
    context = {
        "drills": [selectors.shown(row) for row in found],
        "next": str(found[-1].id) if len(found) == selectors.PAGE else "",
        "schedules": [selectors.scheduled(row) for row in selectors.schedules(cluster=cluster)] if cluster else [],
        "window": selectors.window(cluster=cluster) if cluster else None,
        "days": [(str(number), name) for number, name in WEEKDAYS.items()],
        "zone": timezone.get_current_timezone_name(),
    }
    return _page(request, "drills", cluster, context)


@never_cache
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """First a form; then what speaks for and against it, and what would happen; then it begins, or is scheduled."""
    cluster = _cluster(request)
    access.administrator_or_403(request.user, cluster)
    config = async_to_sync(console.config)(cluster=cluster.name)
    if config is None:
        raise Http404(_("No readable configuration of this cluster is known, so nothing can be predicted."))
    sent = request.POST if request.method == "POST" else request.GET
    wish = forms.read(sent, config)
    if request.method == "POST" and wish.drill is not None:
        if request.POST.get("do") == "schedule":
            return _schedule(request, cluster, wish)
        row = async_to_sync(services.start)(
            cluster=cluster, drill=wish.drill, server=wish.server, user=request.user, by=_by(request)
        )
        return redirect("drill", key=row.id)
    asked = "kind" in sent and "server" in sent
    checked = async_to_sync(_check)(cluster, wish, _by(request)) if asked and wish.drill is not None else None
    context = {
        "wish": wish.fields, "errors": wish.errors if asked else {}, "asked": asked, "config": config,
        "kinds": [(kind, name, words.MEANS[kind]) for kind, name in words.KINDS.items()], "ways": words.WAYS.items(),
        "checked": checked, "findings": selectors.findings_shown(checked.findings) if checked else [],
        "title": words.title(wish.fields) if checked else "",
        "command": words.command(wish.server, wish.drill) if wish.drill is not None else "",
        "least_s": int(forms.LEAST_S), "most_s": int(forms.MOST_S), "defaults": forms.DEFAULTS,
        "tomorrow": (timezone.localtime() + datetime.timedelta(days=1)).strftime("%Y-%m-%dT03:00"),
        "zone": timezone.get_current_timezone_name(),
    }  # fmt: skip
    return _page(request, "drill_new", cluster, context)


async def _check(cluster: Cluster, wish: forms.Wish, by: str) -> guard.Checked:
    assert wish.drill is not None
    return await guard.check(await hub().ready(), cluster, wish.drill, wish.server, by)


def _schedule(request: HttpRequest, cluster: Cluster, wish: forms.Wish) -> HttpResponse:
    at = forms.moment(request.POST.get("when", ""))
    now = timezone.now()
    assert wish.drill is not None
    if at is None or not now < at < now + _FARTHEST:
        messages.error(request, _("Write a time within the next year; nothing was scheduled."))
        fields = {**wish.fields, "cluster": cluster.name}
        return redirect(f"{reverse('drill_new')}?{urlencode(fields, doseq=True)}")
    weekly = request.POST.get("weekly") == "1"
    schedules.schedule(
        cluster=cluster, drill=wish.drill, server=wish.server, at=at, weekly=weekly, by=_by(request)
    )  # fmt: skip
    return redirect_to(cluster, "drills")


@never_cache
@require_GET
def drill(request: HttpRequest, key: Any) -> HttpResponse:
    row = selectors.drill_or_404(key)
    context = {
        "drill": selectors.shown(row), "row": row, "report": row.report,
        "findings": selectors.findings_shown(row.findings),
        "groups": selectors.bars(row),
        "untouched": [group for group in row.report.get("groups", []) if not group["interrupted"]],
        "stages": words.STAGES, "kind": words.KINDS[row.kind], "command": words.command(row.server, row.wanted),
    }  # fmt: skip
    name = "_drill" if request.htmx else "drill"  # type: ignore[attr-defined]
    return _page(request, name, row.cluster, context)


@require_POST
def end(request: HttpRequest, key: Any) -> HttpResponse:
    row = selectors.drill_or_404(key)
    access.operator_or_403(request.user, row.cluster)
    if why := async_to_sync(services.end)(row=row, by=_by(request)):
        messages.warning(request, why)
    return redirect("drill", key=row.id)


@require_POST
def unschedule(request: HttpRequest) -> HttpResponse:
    cluster = _cluster(request)
    access.administrator_or_403(request.user, cluster)
    key = request.POST.get("schedule", "")
    row = selectors.schedule_or_404(int(key) if key.isascii() and key.isdigit() and len(key) < 19 else 0)
    access.administrator_or_403(request.user, row.cluster)
    schedules.unschedule(row=row, by=_by(request))
    return redirect_to(cluster, "drills")


@require_POST
def window(request: HttpRequest) -> HttpResponse:
    cluster = _cluster(request)
    access.administrator_or_403(request.user, cluster)
    if request.POST.get("do") == "always":
        Window.objects.filter(cluster=cluster).delete()
    elif (read := forms.window(request.POST)) is not None:
        days, begins, ends = read
        fields = {"days": days, "begins": begins, "ends": ends, "by": _by(request)}
        Window.objects.update_or_create(cluster=cluster, defaults=fields)
    else:
        messages.error(request, _("Choose days, and two different times; the window was not changed."))
    return redirect_to(cluster, "drills")
