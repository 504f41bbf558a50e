"""The pages. URLs, template names and contexts are the contract with templates/webmanager/:

/ dashboard.html (status, events, agents, snapshot, socket_path)
/servers/ servers.html (status, servers) · /servers/NAME/ server.html (status, server, groups, monitors, events)
/groups/ groups.html (status, groups) · /groups/NAME/ group.html (status, group, resources, monitors, events, choices)
/partition/ partition.html (status, partition, resolvers, fencing, fences, quarantined)
/events/ events.html (events, next_cursor, filter) · /operations/ operations.html (operations)
/operate/ operate.html, htmx: _preview.html (request_form, title, choices, preview, command, rest, dangerous)
/operations/ID/ operation.html, htmx: _operation.html (operation) · /demo/fault htmx: _fault.html (result)
Signing in, users, agents, audit: webmanager/accounts/views. What every template has besides: webmanager/context.py.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webmanager import access, faults, selectors, services, throttle, words
from webmanager.models import Cluster


def _page(request: HttpRequest, name: str, cluster: Cluster | None, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    return render(request, f"webmanager/{name}.html", context)


@never_cache
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    snapshot = async_to_sync(selectors.snapshot)(cluster=cluster.name) if cluster else None
    path = "/ws/console/" + (f"?{urlencode({'cluster': cluster.name})}" if cluster else "")
    context = {
        "snapshot": snapshot,
        "status": snapshot and snapshot["status"],
        "events": snapshot["events"][:-101:-1] if snapshot else [],
        "agents": snapshot["agents"] if snapshot else {},
        "socket_path": path,
    }
    return _page(request, "dashboard", cluster, context)


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
        "events": selectors.events_about(cluster=cluster, kind="server", name=name),
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
        "events": selectors.events_about(cluster=cluster, kind="group", name=name),
        "choices": _choices(status, "group_move", name),
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


@never_cache
@require_GET
def events(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    if cluster is None:
        raise Http404(_("No cluster has reported yet."))
    asked = {key: request.GET.get(key, "")[:200] for key in ("q", "severity", "kind", "name")}
    found, cursor = selectors.events(cluster=cluster, before=request.GET.get("before", ""), **asked)
    return _page(request, "events", cluster, {"events": found, "next_cursor": cursor, "filter": asked})


@never_cache
@require_http_methods(["GET", "POST"])
def operate(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    access.operator_or_403(request.user, cluster)
    status = access.get_status_or_404(cluster)
    assert cluster is not None
    asked = _asked(request, status)
    if asked["op"] in words.ADMINISTRATORS:
        access.administrator_or_403(request.user, cluster)
    if request.method == "POST" and request.POST.get("confirm") == "1":
        by = f"{request.user.get_username()}@{throttle.client_address(request)}"
        operation = async_to_sync(services.begin)(cluster=cluster, **asked, user=request.user, by=by)
        if request.htmx:  # type: ignore[attr-defined]
            return _page(request, "_operation", cluster, {"operation": operation.as_dict()})
        return redirect("operation", key=operation.id, permanent=False)
    context = {
        "request_form": asked,
        "title": words.operation_title(**asked),
        "choices": _choices(status, asked["op"], asked["target"]),
        "preview": _preview(cluster, asked),
        "command": words.command(**asked),
        "rest": words.rest(**asked),
        "dangerous": asked["op"] in words.DANGEROUS,
        "status": status,
    }
    return _page(request, "_preview" if request.htmx else "operate", cluster, context)  # type: ignore[attr-defined]


def _preview(cluster: Cluster, asked: dict[str, str]) -> dict[str, Any]:
    if text := words.effect(asked["op"], asked["target"]):
        return {"steps": [{"at_s": 0.0, "text": text}], "refusal": None, "downtime_s": {}, "error": ""}
    return async_to_sync(selectors.preview)(cluster=cluster.name, **asked)


def _asked(request: HttpRequest, status: dict[str, Any]) -> dict[str, str]:
    """op, target, server as wished; each name must exist."""
    fields = request.POST if request.method == "POST" else request.GET
    op, target, server_name = (fields.get(key, "") for key in ("op", "target", "server"))
    if op not in words.OPS:
        raise BadRequest(_("Unknown operation “%(op)s”. Known: %(known)s.") % {"op": op, "known": ", ".join(words.OPS)})
    if kind := words.KINDS.get(op):
        access.get_object_or_404(status, kind, target)
    else:
        target = ""
    if op not in words.WITH_SERVER:
        server_name = ""
    if server_name:
        access.get_object_or_404(status, "servers", server_name)
    return {"op": op, "target": target, "server": server_name}


def _choices(status: dict[str, Any], op: str, target: str) -> list[dict[str, str]]:
    if op in words.MONITOR_OPS or op == "fence_test":
        names = status["monitors"][target]["servers"] if op in words.MONITOR_OPS else status["servers"]
        return [{"name": name, "status": status["servers"][name]["status"], "note": ""} for name in names]
    if op not in ("group_start", "group_move"):
        return []
    found = status["groups"][target]
    places = [status["servers"][name] for name in found["policy"] if name in status["servers"]]
    return [
        {"name": s["name"], "status": s["status"], "note": _("runs here") if s["name"] in found["active_on"] else ""}
        for s in places
    ]


@never_cache
@require_GET
def operation(request: HttpRequest, key: Any) -> HttpResponse:
    found = access.get_operation_or_404(key)
    name = "_operation" if request.htmx else "operation"  # type: ignore[attr-defined]
    response = _page(request, name, found.cluster, {"operation": found.as_dict()})
    if not found.ended and name == "operation":
        response["Refresh"] = "1"
    return response


@never_cache
@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    found = selectors.operations(cluster=cluster) if cluster else []
    return _page(request, "operations", cluster, {"operations": [o.as_dict() for o in found]})


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
    return redirect("dashboard")


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
