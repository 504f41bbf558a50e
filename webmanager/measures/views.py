"""The pages of monitors, heartbeats and resources; names and contexts are the contract with templates/webmanager:

/monitors/ monitors.html (rows, page, pages, counts, filter, sort) · /monitors/NAME/ monitor.html (monitor, …)
/heartbeats/ heartbeats.html (silence, paths, pairs) · /heartbeats/NAME/ heartbeat.html (path, rows, charts …)
/resources/NAME/ resource.html (resource, …)
"""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webmanager import access
from webmanager.measures import configuration, pages, words
from webmanager.measures import selectors as measured
from webmanager.models import Cluster

PAGE = 100
STATES = ("Error", "Caution", "Normal", "Suspend", "Unknown", "Offline")


def _scene(request: HttpRequest) -> tuple[Cluster, dict[str, Any]]:
    """The cluster that is looked at, and its status; 404 when there is none."""
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    assert cluster is not None
    request.cluster = cluster  # type: ignore[attr-defined]
    return cluster, status


def _page(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    return render(request, f"webmanager/{name}.html", context)


@never_cache
@require_GET
def monitors(request: HttpRequest) -> HttpResponse:
    _cluster, status = _scene(request)
    asked = {key: request.GET.get(key, "")[:200] for key in ("q", "server", "state", "near", "idle")}
    sort = request.GET.get("sort", "state")
    sort = sort if sort.removeprefix("-") in measured.SORTS else "state"
    everything = measured.monitor_rows(status, idle=bool(asked["idle"]) or asked["state"] == "Offline")
    found = measured.filtered(
        everything, q=asked["q"], server=asked["server"], state=asked["state"], near=bool(asked["near"])
    )
    pages_ = Paginator(measured.ordered(found, sort), PAGE)
    context = {
        "status": status,
        "page": pages_.get_page(request.GET.get("page", "1")),
        "all": len(everything),
        "near": sum(map(measured.is_near, everything)),
        "longer": sum(row["longer"] for row in everything),
        "filter": asked,
        "sort": sort,
        "states": STATES,
        "columns": _columns(request, sort),
    }
    return _page(request, "monitors", context)


def _columns(request: HttpRequest, sort: str) -> list[dict[str, str]]:
    """Heads of the table; a click sorts by it, another one the other way round."""
    labels = {
        "name": _("Monitor"), "state": _("State"), "since": _("Since"), "p99": _("99 in 100"),
        "worst": _("Longest"), "failed": _("Failed checks"), "proposed": _("Proposed timeout"),
    }  # fmt: skip
    found = []
    for key, label in labels.items():
        query = request.GET.copy()
        query["sort"] = f"-{key}" if sort == key else key
        query.pop("page", None)
        order = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
        found.append({"key": key, "label": label, "query": query.urlencode(), "order": order})
    return found


@never_cache
@require_GET
def monitor(request: HttpRequest, name: str) -> HttpResponse:
    cluster, status = _scene(request)
    found = access.get_object_or_404(status, "monitors", name)
    config = pages.config_of(cluster)
    configured = configuration.find(config.monitors, name)
    rows = [row for row in measured.monitor_rows(status, idle=True) if row["name"] == name]
    context = {
        "status": status,
        "monitor": found,
        "rows": rows,
        "values": configuration.of_monitor(configured) if configured else [],
        "needs": configuration.needs_of_monitor(config, configured) if configured else [],
        "why": words.of_answers(found["rule"]),
        "suspended": any(row["status"] == "Suspend" for row in rows),
        "running": any(row["status"] != "Suspend" for row in rows),
        **pages.about(request, cluster, "monitor", found["type"], name),
        **pages.charts(request, cluster, "monitor", name, pages.monitor_thresholds(found, config)),
    }
    return _page(request, "monitor", context)


@never_cache
@require_GET
def resource(request: HttpRequest, name: str) -> HttpResponse:
    cluster, status = _scene(request)
    found = access.get_object_or_404(status, "resources", name)
    config = pages.config_of(cluster)
    configured = configuration.find(config.resources, name)
    needs, needed = configuration.needs_of_resource(config, name) if configured else ([], [])
    context = {
        "status": status,
        "resource": found,
        "group": status["groups"].get(found["group"]),
        "rows": [row for row in measured.monitor_rows(status) if row["target"] == name],
        "values": configuration.of_resource(configured) if configured else [],
        "needs": needs,
        "needed": needed,
        **pages.about(request, cluster, "resource", found["type"], name),
    }
    return _page(request, "resource", context)


@never_cache
@require_GET
def heartbeats(request: HttpRequest) -> HttpResponse:
    _cluster, status = _scene(request)
    silence = status["cluster"]["silence"]
    rows = sorted(measured.pair_rows(status), key=lambda row: -row["gaps"]["worst_ms"])
    pages_ = Paginator(rows, PAGE)
    context = {
        "status": status,
        "silence": silence,
        "why": words.of_silences(silence["rule"]) if silence else "",
        "paths": measured.paths(status),
        "page": pages_.get_page(request.GET.get("page", "1")),
        "healths": [(server["name"], server["health"]) for server in status["servers"].values()],
    }
    return _page(request, "heartbeats", context)


@never_cache
@require_GET
def heartbeat(request: HttpRequest, name: str) -> HttpResponse:
    cluster, status = _scene(request)
    found = next((one for one in measured.paths(status) if one["name"] == name), None)
    if found is None:
        raise Http404(_("There is no heartbeat “%(name)s” here.") % {"name": name})
    config = pages.config_of(cluster)
    configured = configuration.find(config.heartbeats, name)
    rows = [row for row in measured.path_rows(status) if row["path"] == name]
    rows.sort(key=lambda row: (row["status"] == "Normal", -(row["gaps"] or {"worst_ms": 0.0})["worst_ms"]))
    context = {
        "status": status,
        "path": found,
        "silence": status["cluster"]["silence"],
        "page": Paginator(rows, PAGE).get_page(request.GET.get("page", "1")),
        "values": configuration.of_heartbeat(config, configured) if configured else [],
        **pages.about(request, cluster, "heartbeat", found["type"], name),
        **pages.charts(request, cluster, "heartbeat", name, pages.silence_thresholds(status, config)),
    }
    return _page(request, "heartbeat", context)
