"""What the page of one object shows beside its state: configuration, history, charts, what hangs together."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from agent.clpconf import model
from webmanager import selectors
from webmanager.measures import chart, configuration
from webmanager.measures import selectors as measured
from webmanager.measures.chart import Threshold
from webmanager.models import Cluster

CHARTS = 4  # on one page; the others are one click away


def config_of(cluster: Cluster) -> model.Cluster:
    """As the agents sent it, without secrets; empty when it cannot be read."""
    return async_to_sync(selectors.config)(cluster=cluster.name) or model.Cluster(name=cluster.name)


def about(request: HttpRequest, cluster: Cluster, kind: str, type_: str, name: str) -> dict[str, Any]:
    """What every object's page has: its events and where else one finds it."""
    live = f"{reverse('dashboard')}#/{kind}/{name}"
    try:
        machine = reverse("history")
    except NoReverseMatch:
        machine = ""
    at = configuration.builder_path(kind, type_, name)
    return {
        "events": selectors.events_about(cluster=cluster, kind=kind, name=name),
        "live_url": live,
        "machine_url": machine,
        "form_url": f"{reverse('builder')}?{urlencode({'at': at})}",
        "more_url": f"{reverse('events')}?{urlencode({'kind': kind, 'name': name})}",
    }


def charts(request: HttpRequest, cluster: Cluster, kind: str, name: str, thresholds: list[Threshold]) -> dict[str, Any]:
    """One chart for each server that measured, those with the longest first; `?span=`, `?on=SERVER`."""
    span = request.GET.get("span", "day")
    span = span if span in measured.SPANS else "day"
    now = time.time()
    found = measured.history(cluster=cluster, kind=kind, name=name, span=span, now=now)
    worst = {server: max((p.sample[2] or 0.0 for p in points), default=0.0) for server, points in found.items()}
    servers = sorted(found, key=lambda server: (-worst[server], server))
    asked = request.GET.get("on", "")
    chosen = [asked] if asked in found else servers[:CHARTS]
    made = [chart.chart(server, found[server], _copies(thresholds), span, now) for server in chosen]
    return {"charts": made, "span": span, "chart_servers": sorted(found), "chart_of": asked if asked in found else ""}


def _copies(thresholds: list[Threshold]) -> list[Threshold]:
    return [Threshold(one.label, one.ms, one.look) for one in thresholds]


def monitor_thresholds(monitor: dict[str, Any], config: model.Cluster) -> list[Threshold]:
    found = [Threshold(_("timeout"), float(monitor["timeout_ms"]), "bad")]
    if 0 < config.delay_warning < 100 and monitor["timeout_ms"]:
        found.append(Threshold(_("delay warning"), monitor["timeout_ms"] * config.delay_warning / 100, "warn"))
    return found


def silence_thresholds(status: dict[str, Any], config: model.Cluster) -> list[Threshold]:
    silence = status["cluster"]["silence"]
    timeout_ms = silence["timeout_ms"] if silence else config.timeout_s * 1000
    return [Threshold(_("timeout"), float(timeout_ms), "bad")]


def of_server(request: HttpRequest, cluster: Cluster, status: dict[str, Any], name: str) -> dict[str, Any]:
    config = config_of(cluster)
    server = configuration.find(config.servers, name)
    rows = measured.filtered(measured.monitor_rows(status), server=name)
    return {
        **about(request, cluster, "server", "server", name),
        **charts(request, cluster, "server", name, silence_thresholds(status, config)),
        "values": configuration.of_server(server) if server else [],
        "rows": measured.ordered(rows, "state"),
        "needed": [
            configuration.Link("group", group.name, _("home") if group.policy[:1] == (name,) else "")
            for group in config.groups
            if name in group.policy
        ],
    }


def of_group(request: HttpRequest, cluster: Cluster, status: dict[str, Any], name: str) -> dict[str, Any]:
    config = config_of(cluster)
    group = configuration.find(config.groups, name)
    needs, needed = configuration.needs_of_group(config, group) if group else ([], [])
    targets = {name, *status["groups"][name]["resources"]}
    rows = [row for row in measured.monitor_rows(status) if row["target"] in targets]
    return {
        **about(request, cluster, "group", "group", name),
        "values": configuration.of_group(group) if group else [],
        "depends": configuration.depends(config, group) if group else {},
        "needs": needs,
        "needed": needed,
        "rows": measured.ordered(rows, "state"),
    }
