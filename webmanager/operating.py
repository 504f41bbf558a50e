"""The pages of operations.

/operations/ operations.html, htmx: _operations.html (operations, next_cursor, filter, themes, going)
/operate/ operate.html, htmx: _preview.html (request_form, title, choices, preview, command, rest, dangerous, typed);
while its target is not chosen, _choose.html (op, question, targets) · /operations/ID/ operation.html, htmx:
_operation.html (operation, command, rest) · /operations/ID/cancel: a form
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webmanager import access, selectors, services, throttle, words
from webmanager.mirrors import losses
from webmanager.mirrors import operations as mirrors
from webmanager.models import Cluster, Operation

WHY_LONGEST = 200
_FILTERS = ("op", "state", "q")


def _page(request: HttpRequest, name: str, cluster: Cluster | None, context: dict[str, Any]) -> HttpResponse:
    request.cluster = cluster  # type: ignore[attr-defined]
    return render(request, f"webmanager/{name}.html", context)


def _by(request: HttpRequest) -> str:
    return f"{request.user.get_username()}@{throttle.client_address(request)}"


@never_cache
@require_http_methods(["GET", "POST"])
def operate(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    access.operator_or_403(request.user, cluster)
    status = access.get_status_or_404(cluster)
    assert cluster is not None
    op = _op(request)
    if op in words.ADMINISTRATORS:
        access.administrator_or_403(request.user, cluster)
    if (missing := _missing(request, op)) and request.method == "GET":
        target = _known_target(request, status, op) if missing == "server" else ""
        found = _servers(status, op, target) if missing == "server" else _targets(status, op)
        context = {"op": op, "question": missing, "targets": found, "target": target, "title": words.named(op)}
        return _page(request, "_choose" if request.htmx else "operate", cluster, context)  # type: ignore[attr-defined]
    asked = _asked(request, status, op)
    why = _why(request)
    wrong = ""
    if request.method == "POST" and request.POST.get("confirm") == "1":
        wanted = words.word_to_type(**asked, cluster=cluster.name)
        if request.POST.get("typed", "").strip() == wanted or not wanted:
            return _begun(request, cluster, asked, why)
        wrong = _("Nothing was done: the name that was typed is not %(name)s.") % {"name": wanted}
    return _page(
        request, "_preview" if request.htmx else "operate", cluster,  # type: ignore[attr-defined]
        _context(cluster, status, asked) | {"why": why, "wrong": wrong},
    )  # fmt: skip


def _begun(request: HttpRequest, cluster: Cluster, asked: dict[str, str], why: str) -> HttpResponse:
    begin = async_to_sync(services.begin)
    operation = begin(cluster=cluster, **asked, user=request.user, by=_by(request), why=why)
    if request.htmx:  # type: ignore[attr-defined]
        return _page(request, "_operation", cluster, _about(operation))
    return redirect("operation", key=operation.id, permanent=False)


def _context(cluster: Cluster, status: dict[str, Any], asked: dict[str, str]) -> dict[str, Any]:
    several = len(selectors.clusters()) > 1
    return {
        "request_form": asked,
        "title": words.operation_title(**asked),
        "choices": choices(status, asked["op"], asked["target"]),
        "any_server": words.any_server(asked["op"]),
        "preview": _preview(cluster, status, asked),
        "command": words.command(**asked),
        "rest": words.rest(**asked, cluster=cluster.name if several else ""),
        "dangerous": asked["op"] in words.DANGEROUS,
        "typed": words.word_to_type(**asked, cluster=cluster.name),
        "why_longest": WHY_LONGEST,
        "status": status,
    }


def _preview(cluster: Cluster, status: dict[str, Any], asked: dict[str, str]) -> dict[str, Any]:
    if asked["op"] == "mirror_force":
        return losses.preview(status, asked["target"], asked["server"])
    if text := words.effect(asked["op"], asked["target"]):
        return {"steps": [{"at_s": 0.0, "text": text}], "refusal": None, "downtime_s": {}, "error": ""}
    return async_to_sync(selectors.preview)(cluster=cluster.name, **asked)


def _op(request: HttpRequest) -> str:
    op = (request.POST if request.method == "POST" else request.GET).get("op", "")
    if op not in words.OPS:
        raise BadRequest(_("Unknown operation “%(op)s”. Known: %(known)s.") % {"op": op, "known": ", ".join(words.OPS)})
    return op


def _missing(request: HttpRequest, op: str) -> str:
    """The field without which it cannot be told what would happen: target, server or ""."""
    fields = request.POST if request.method == "POST" else request.GET
    if op in words.KINDS and not fields.get("target"):
        return "target"
    return "server" if op in words.NEEDS_SERVER and not fields.get("server") else ""


def _targets(status: dict[str, Any], op: str) -> list[dict[str, str]]:
    kind = words.KINDS.get(op, "servers")
    found = status[kind].values()
    return [{"name": one["name"], "status": one.get("status", ""), "comment": one.get("comment", "")} for one in found]


def _servers(status: dict[str, Any], op: str, target: str) -> list[dict[str, str]]:
    """Of which one has to be named."""
    names = status["mirrors"][target]["servers"] if op in mirrors.OPS else status["servers"]
    return [{"name": name, "status": status["servers"][name]["status"]} for name in names if name in status["servers"]]


def _known_target(request: HttpRequest, status: dict[str, Any], op: str) -> str:
    """The object that is named, which must exist; "" where the operation is about none."""
    kind = words.KINDS.get(op)
    if not kind:
        return ""
    target = (request.POST if request.method == "POST" else request.GET).get("target", "")
    access.get_object_or_404(status, kind, target)
    return target


def _asked(request: HttpRequest, status: dict[str, Any], op: str) -> dict[str, str]:
    """op, target, server as wished; each name must exist."""
    target = _known_target(request, status, op)
    server = (request.POST if request.method == "POST" else request.GET).get("server", "")
    if op not in words.WITH_SERVER:
        server = ""
    if server or op in words.NEEDS_SERVER:
        access.get_object_or_404(status, "servers", server)
    return {"op": op, "target": target, "server": server}


def _why(request: HttpRequest) -> str:
    """One line in the words of who asks, for the logs of the servers and the audit."""
    text = " ".join((request.POST if request.method == "POST" else request.GET).get("why", "").split())
    return "".join(c for c in text if c.isprintable())[:WHY_LONGEST]


def choices(status: dict[str, Any], op: str, target: str) -> list[dict[str, str]]:
    """Servers that may be named beside the target."""
    servers = status["servers"]
    if op in words.MONITOR_OPS:
        names = list(status["monitors"][target]["servers"])
    elif op in mirrors.WITH_SERVER:
        names = list(status["mirrors"][target]["servers"])
    elif op in ("group_start", "group_move"):
        names = [name for name in status["groups"][target]["policy"] if name in servers]
    elif op == "group_stop":
        active = status["groups"][target]["active_on"]
        names = list(active) if len(active) > 1 else []
    elif op in words.WITH_SERVER:
        names = [name for name in servers if name != target]
    else:
        return []
    runs = status["groups"][target]["active_on"] if op in words.GROUP_OPS else ()
    return [{"name": n, "status": servers[n]["status"], "note": _("runs here") if n in runs else ""} for n in names]


def _about(operation: Operation) -> dict[str, Any]:
    asked = {"op": operation.op, "target": operation.target, "server": operation.server}
    known = operation.op in words.OPS
    return {
        "operation": operation.as_dict() | {"ended_at": operation.ended_at, "cancel": operation.cancel},
        "command": words.command(**asked) if known else "",
        "rest": words.rest(**asked) if known else None,
        "cancelling": words.cancelling(operation.op),
    }


@never_cache
@require_GET
def operation(request: HttpRequest, key: Any) -> HttpResponse:
    found = access.get_operation_or_404(key)
    name = "_operation" if request.htmx else "operation"  # type: ignore[attr-defined]
    return _page(request, name, found.cluster, _about(found))


@require_POST
def cancel(request: HttpRequest, key: Any) -> HttpResponse:
    found = access.get_operation_or_404(key)
    access.operator_or_403(request.user, found.cluster)
    if found.ended:
        messages.info(request, _("It has ended already; nothing is left to cancel."))
    else:
        done, text = async_to_sync(services.cancel)(operation=found, by=_by(request))
        (messages.success if done else messages.warning)(request, text)
    return redirect("operation", key=found.id)


@never_cache
@require_GET
def operations(request: HttpRequest) -> HttpResponse:
    cluster = access.chosen_cluster(request)
    wanted = {key: request.GET.get(key, "")[:200] for key in _FILTERS}
    before = request.GET.get("before", "")
    found: list[Operation] | None = []
    if cluster is not None:
        found = selectors.operations_before(cluster=cluster, before=before, limit=selectors.PAGE, **wanted)
    if found is None:
        raise BadRequest(_("This list is older than what is kept. Begin anew."))
    last = found[-1] if len(found) == selectors.PAGE else None
    chosen = {key: value for key, value in wanted.items() if value}
    context = {
        "operations": [one.as_dict() for one in found],
        "older": urlencode({**chosen, "before": str(last.id)}) if last else "",
        "query": urlencode({**chosen, **({"before": before} if before else {})}),
        "filter": wanted,
        "states": Operation.State.values,
        "going": any(not one.ended for one in found),
        "themes": _themes(request, cluster),
        "ops": [(op, words.named(op)) for op in words.OPS],
    }
    return _page(request, "_operations" if request.htmx else "operations", cluster, context)  # type: ignore[attr-defined]


def _themes(request: HttpRequest, cluster: Cluster | None) -> list[dict[str, Any]]:
    """Every operation that may be asked for, by theme."""
    if cluster is None or not access.may_operate(request.user, cluster):
        return []
    hidden = frozenset() if access.may_administer(request.user, cluster) else words.ADMINISTRATORS
    return [
        {
            "title": _(title),
            "ops": [
                {"op": op, "title": words.named(op), "dangerous": op in words.DANGEROUS}
                for op in ops
                if op not in hidden
            ],
        }
        for title, ops in words.THEMES.items()
    ]
