"""The pages of mirror disks.

/mirrors/ mirrors.html (mirrors) · /mirrors/NAME/ mirror.html, htmx: _mirror.html (mirror): the mirror helper
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from webmanager import access
from webmanager.mirrors import selectors
from webmanager.models import Cluster


def _page(request: HttpRequest, name: str, cluster: Cluster | None, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    path = "/ws/console/" + (f"?{urlencode({'cluster': cluster.name})}" if cluster else "")
    return render(request, f"webmanager/{name}.html", {**context, "socket_path": path})


@never_cache
@require_GET
def mirrors(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    found = [selectors.listed(one) for one in status["mirrors"].values()]
    name = "_mirrors" if request.htmx else "mirrors"  # type: ignore[attr-defined]
    return _page(request, name, cluster, {"status": status, "mirrors": found})


@never_cache
@require_GET
def mirror(request: HttpRequest, name: str) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    found = access.get_object_or_404(status, "mirrors", name)
    template = "_mirror" if request.htmx else "mirror"  # type: ignore[attr-defined]
    return _page(request, template, cluster, {"status": status, "mirror": selectors.shown(found)})
