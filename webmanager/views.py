"""The pages. URLs, template names and contexts are the contract with templates/webmanager/:

/ dashboard.html (status, events, agents, snapshot, socket_path)
/servers/ servers.html (status, servers) · /servers/NAME/ server.html (status, server, groups, monitors, events)
/groups/ groups.html (status, groups) · /groups/NAME/ group.html (status, group, resources, monitors, events, choices)
/partition/ partition.html (status, partition, resolvers, fencing, fences, quarantined)
/demo/fault htmx: _fault.html (result)
/operate/, /operations/: operating.py. Signing in, users, agents, audit: webmanager/accounts/views. What every template
has besides: webmanager/context.py.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from webmanager import access, faults, selectors
from webmanager.measures import pages
from webmanager.models import Cluster
from webmanager.operating import choices
from webmanager.packing import is_large
from webmanager.places import redirect_to


def _page(request: HttpRequest, name: str, cluster: Cluster | None, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    return render(request, f"webmanager/{name}.html", context)


@never_cache
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    if _many(request):
        return redirect("overview")
    cluster = access.chosen_cluster(request)
    snapshot = async_to_sync(selectors.snapshot)(cluster=cluster.name) if cluster else None
    path = "/ws/console/" + (f"?{urlencode({'cluster': cluster.name})}" if cluster else "")
    context = {
        # A large one would delay the page by more than the socket takes to bring it; until then it shows `status`.
        "snapshot": None if snapshot and is_large(snapshot["status"]) else snapshot,
        "status": snapshot and snapshot["status"],
        "events": snapshot["events"][:-101:-1] if snapshot else [],
        "agents": snapshot["agents"] if snapshot else {},
        "socket_path": path,
    }
    return _page(request, "dashboard", cluster, context)


def _many(request: HttpRequest) -> bool:
    """Nobody has said which cluster, and there are several to choose from: they are all shown first."""
    if request.GET.get("cluster") or request.session.get("cluster"):
        return False
    return len(access.clusters(request.user)) > 1


@never_cache
@require_GET
def servers(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    return _page(request, "servers", cluster, {"status": status, "servers": list(status["servers"].values())})


@never_cache
@require_GET
def server(request: HttpRequest, name: str) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    found = access.get_object_or_404(status, "servers", name)
    assert cluster is not None
    context = {
        "status": status,
        "server": found,
        "groups": [g for g in status["groups"].values() if name in g["active_on"]],
        "monitors": [m for m in status["monitors"].values() if name in m["servers"]],
        **pages.of_server(request, cluster, status, name),
    }
    return _page(request, "server", cluster, context)


@never_cache
@require_GET
def groups(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    return _page(request, "groups", cluster, {"status": status, "groups": list(status["groups"].values())})


@never_cache
@require_GET
def group(request: HttpRequest, name: str) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    found = access.get_object_or_404(status, "groups", name)
    assert cluster is not None
    context = {
        "status": status,
        "group": found,
        "resources": [status["resources"][r] for r in found["resources"] if r in status["resources"]],
        "monitors": [m for m in status["monitors"].values() if m["target"] in found["resources"]],
        **pages.of_group(request, cluster, status, name),
        "choices": choices(status, "group_move", name),
    }
    return _page(request, "group", cluster, context)


@never_cache
@require_GET
def partition(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    status = access.get_status_or_404(cluster)
    context = {
        "status": status,
        "partition": status["cluster"]["partition"],
        "resolvers": selectors.resolvers(status),
        "fencing": status["cluster"]["fencing"],
        "fences": list(status["fences"].values()),
        "quarantined": [server for server in status["servers"].values() if server["quarantine"]],
    }
    return _page(request, "partition", cluster, context)


@require_POST
def demo_fault(request: HttpRequest) -> HttpResponse:
    if not settings.OPENCLP_DEMO:
        raise Http404(_("This manager does not run a demo."))
    cluster = access.chosen_cluster(request)
    access.administrator_or_403(request.user, cluster)
    fields = {key: request.POST.get(key, "")[:64] for key in ("op", "server", "lan")}
    result = faults.inject(directory=settings.OPENCLP_DEMO, **fields)
    if request.htmx:  # type: ignore[attr-defined]
        return _page(request, "_fault", cluster, {"result": result})
    return redirect_to(cluster, "dashboard")


# Errors: pages for people, `result` for programs.


def _error(request: HttpRequest, status: int, message: str) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        from webmanager.api.errors import plain

        return plain(status, message)
    return render(request, f"{status}.html", {"message": message}, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 400, str(exception) or _("The request could not be understood."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error(request, 403, str(exception) or _("You may not do this."))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _error(request, 403, _("This form is too old or came from another page. Load the page again and repeat."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    first = exception.args[0] if exception.args else ""
    known = isinstance(first, str) and first
    return _error(request, 404, first if known else _("There is no such page."))


def server_error(request: HttpRequest) -> HttpResponse:
    return _error(request, 500, _("The manager failed at this request (see its log). The cluster is not affected."))
