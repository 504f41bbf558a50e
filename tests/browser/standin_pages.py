"""The stand-in's pages: names, templates and contexts as the manager's (webmanager/views.py), content made up."""

from __future__ import annotations

import json
import time
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.i18n import JavaScriptCatalog, set_language

from tests.browser.standin import CONSOLE
from webmanager import words


class _User:
    is_authenticated = True

    def get_username(self) -> str:
        return "admin"


def common(request: HttpRequest) -> dict[str, Any]:
    cluster = CONSOLE.cluster and {"id": "demo", "name": "demo", "comment": ""}
    return {
        "user": _User(), "role": CONSOLE.role, "may_operate": CONSOLE.role != "viewer",
        "may_administer": CONSOLE.role == "administrator", "cluster": cluster, "clusters": [cluster] if cluster else [],
        "demo": CONSOLE.demo, "version": "0.1.0", "at": time.time(),
        "split_brain": CONSOLE.shown and CONSOLE.shown["cluster"]["split_brain"],
    }  # fmt: skip


def _status() -> dict[str, Any]:
    if CONSOLE.shown is None:
        raise Http404("No cluster has reported yet.")
    return CONSOLE.shown


def _events() -> list[dict[str, Any]]:
    return list(reversed(CONSOLE.events(0)))


def dashboard(request: HttpRequest) -> HttpResponse:
    # As the manager does with that of a large cluster: the socket brings it.
    snapshot = None if "late" in request.GET else CONSOLE.snapshot()
    context = {"snapshot": snapshot, "status": CONSOLE.shown, "events": _events(),
               "socket_path": "/ws/console/?cluster=demo"}  # fmt: skip
    return render(request, "webmanager/dashboard.html", context)


def login(request: HttpRequest) -> HttpResponse:
    from django import forms

    class Form(forms.Form):
        username = forms.CharField()
        password = forms.CharField()

    form = Form(request.POST) if request.method == "POST" else Form()
    return render(request, "webmanager/login.html", {"form": form, "next": "/", "wait_s": 0, "role": ""})


def servers(request: HttpRequest) -> HttpResponse:
    status = _status()
    return render(request, "webmanager/servers.html", {"status": status, "servers": list(status["servers"].values())})


def server(request: HttpRequest, name: str) -> HttpResponse:
    status = _status()
    here = [group for group in status["groups"].values() if name in group["active_on"]]
    context = {"status": status, "server": status["servers"][name], "groups": here,
               "monitors": list(status["monitors"].values()), "events": _events()}  # fmt: skip
    return render(request, "webmanager/server.html", context)


def groups(request: HttpRequest) -> HttpResponse:
    status = _status()
    return render(request, "webmanager/groups.html", {"status": status, "groups": list(status["groups"].values())})


def group(request: HttpRequest, name: str) -> HttpResponse:
    status = _status()
    found = status["groups"][name]
    context = {"status": status, "group": found, "resources": [status["resources"][r] for r in found["resources"]],
               "monitors": [], "events": _events()}  # fmt: skip
    return render(request, "webmanager/group.html", context)


def partition(request: HttpRequest) -> HttpResponse:
    from webmanager.selectors import resolvers

    status = _status()
    context = {"status": status, "partition": status["cluster"]["partition"], "resolvers": resolvers(status),
               "fencing": status["cluster"]["fencing"], "fences": list(status["fences"].values()),
               "quarantined": [one for one in status["servers"].values() if one["quarantine"]]}  # fmt: skip
    return render(request, "webmanager/partition.html", context)


def events(request: HttpRequest) -> HttpResponse:
    context = {"events": _events(), "next_cursor": "5", "filter": request.GET.dict()}
    return render(request, "webmanager/events.html", context)


def operate(request: HttpRequest) -> HttpResponse:
    if CONSOLE.role == "viewer":
        return HttpResponseForbidden(render(request, "403.html", {"message": "Viewers may not operate."}))
    fields = request.POST if request.method == "POST" else request.GET
    asked = {key: fields.get(key, "") for key in ("op", "target", "server")}
    if request.method == "POST" and fields.get("confirm") == "1":
        return _begin(request, asked)
    status = _status()
    policy = status["groups"].get(asked["target"], {}).get("policy", []) if asked["op"] != "group_stop" else []
    target = asked["server"] or "server2"
    refusal = {"reason": "not_online", "text": f"{target} is offline."} if target in CONSOLE.cluster.down else None
    steps = [
        {"at_s": 0.0, "text": f"{asked['target']} stops on server1: fip1, then exec1.", "kind": "group", "name": ""},
        {"at_s": 0.6, "text": f"{asked['target']} starts on {target}: fip1, then exec1.", "kind": "group", "name": ""},
    ]
    if effect := words.effect(asked["op"], asked["target"]):
        refusal, steps = None, [{"at_s": 0.0, "text": effect, "kind": "", "name": ""}]
    context = {
        "request_form": asked, "title": words.operation_title(**asked), "command": words.command(**asked),
        "rest": words.rest(**asked), "dangerous": asked["op"] in words.DANGEROUS, "status": status,
        "choices": [{"name": name, "status": status["servers"][name]["status"], "note": ""} for name in policy],
        "preview": {"steps": [] if refusal else steps, "refusal": refusal, "error": "",
                    "downtime_s": {} if refusal or effect else {asked["target"]: 1.2}},
    }  # fmt: skip
    return render(request, f"webmanager/{'_preview' if request.htmx else 'operate'}.html", context)


def _begin(request: HttpRequest, asked: dict[str, str]) -> HttpResponse:
    key = str(len(CONSOLE.operations) + 1)
    progress = [f"{asked['target']} stops on server1"]
    found = {"id": key, **asked, "title": words.operation_title(**asked), "by": "admin@127.0.0.1", "at": time.time(),
             "state": "running", "progress": progress, "reason": "", "text": ""}  # fmt: skip
    CONSOLE.operations[key] = found
    if not request.htmx:
        return redirect("operation", key)
    return render(request, "webmanager/_operation.html", {"operation": found})


def operation(request: HttpRequest, key: str) -> HttpResponse:
    """The second look finds it done."""
    found = CONSOLE.operations[key]
    if found["state"] == "running" and request.htmx and found["op"] == "group_move":
        CONSOLE.do({"do": "move", "group": found["target"], "server": found["server"] or "server2"})
        found.update(state="done", text="Done.", progress=[*found["progress"], f"{found['target']} is online"])
    context = {"operation": found}
    return render(request, f"webmanager/{'_operation' if request.htmx else 'operation'}.html", context)


def operations(request: HttpRequest) -> HttpResponse:
    return render(request, "webmanager/operations.html", {"operations": list(CONSOLE.operations.values())})


def fault(request: HttpRequest) -> HttpResponse:
    asked = request.POST.dict()
    if asked["op"] == "crash":
        CONSOLE.do({"do": "crash", "server": asked["server"]})
    result = {"ok": True, "text": f"{asked['op']} {asked.get('server', '')}: done."}
    return render(request, "webmanager/_fault.html", {"result": result})


@csrf_exempt
def order(request: HttpRequest) -> HttpResponse:
    return JsonResponse(CONSOLE.do(json.loads(request.body)))


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, "404.html", {"message": str(exception)}, status=404)


def elsewhere(request: HttpRequest, name: str = "") -> HttpResponse:
    """Pages that others link to; tests of their own look at them."""
    raise Http404(name)


handler404 = missing
urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("login/", login, name="login"),
    path("logout/", login, name="logout"),
    path("servers/", servers, name="servers"),
    path("servers/<str:name>/", server, name="server"),
    path("groups/", groups, name="groups"),
    path("groups/<str:name>/", group, name="group"),
    path("partition/", partition, name="partition"),
    *(path(f"{kind}s/<str:name>/", elsewhere, name=kind) for kind in ("resource", "monitor", "heartbeat")),
    path("heartbeats/", elsewhere, name="heartbeats"),
    path("monitors/", elsewhere, name="monitors"),
    path("events/", events, name="events"),
    path("operate/", operate, name="operate"),
    path("operations/", operations, name="operations"),
    path("operations/<str:key>/", operation, name="operation"),
    path("demo/fault", fault, name="demo-fault"),
    path("language/", set_language, name="set_language"),
    path("jsi18n/", JavaScriptCatalog.as_view(packages=["webmanager"]), name="javascript-catalog"),
    path("_do", order),
]
