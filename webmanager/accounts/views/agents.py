"""Agents: which servers may report, tokens for new ones, the exchange itself, and taking a right away."""

from __future__ import annotations

from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from agent.wire import join as wire
from webmanager import selectors, throttle
from webmanager.accounts import joining
from webmanager.accounts.marks import open_to_all
from webmanager.accounts.people import ProblemError
from webmanager.accounts.views.common import actor, administrator_or_403
from webmanager.models import Agent

_WHO = "join"  # one name for counting: a token is guessed, not a user


@never_cache
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    administrator_or_403(request)
    return _page(request)


def _page(request: HttpRequest, **more: Any) -> HttpResponse:
    clusters = selectors.clusters()
    connected = {cluster.name: async_to_sync(selectors.agents)(cluster=cluster.name) for cluster in clusters}
    rows = [
        {"agent": one, "connected": bool(one.cluster and connected.get(one.cluster.name, {}).get(one.node))}
        for one in Agent.objects.select_related("cluster").order_by("cluster__name", "node")
    ]
    context = {
        "agents": rows,
        "tokens": joining.listed(),
        "known_clusters": clusters,
        "url": f"{request.scheme}://{request.get_host()}/",
        "hours": joining.HOURS,
        "hours_most": joining.HOURS_MOST,
    }
    return render(request, "accounts/agents.html", {**context, **more})


@never_cache
@require_POST
def make_token(request: HttpRequest) -> HttpResponse:
    administrator_or_403(request)
    if key := request.POST.get("take_back", ""):
        if joining.take_back(key=key[:32], actor=actor(request)):
            messages.success(request, _("The token is worth nothing any more."))
        return redirect("agents")
    asked = {key: request.POST.get(key, "")[:500] for key in ("node", "cluster", "url", "hours")}
    try:
        token = joining.make(
            node=asked["node"], cluster=asked["cluster"], url=asked["url"], hours=_hours(asked["hours"]),
            actor=actor(request),
        )  # fmt: skip
    except ProblemError as problem:
        return _page(request, problem=str(problem), asked=asked)
    return _page(request, token=token, token_for=asked["node"])


def _hours(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


@never_cache
@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    administrator_or_403(request)
    key = request.POST.get("agent", "")
    found = Agent.objects.select_related("cluster").filter(pk=int(key) if key.isdecimal() and len(key) < 16 else 0)
    if (agent := found.first()) is None:
        raise Http404(_("There is no such agent."))
    joining.revoke(agent=agent, actor=actor(request))
    messages.success(request, _("%(node)s may not report any more; its connection is closed.") % {"node": agent.node})
    return redirect("agents")


@open_to_all
@csrf_exempt
@never_cache
@require_POST
def join(request: HttpRequest) -> HttpResponse:
    """No login, no cookie: who has the token proves it (agent/wire/join.py)."""
    if len(request.body) > wire.BODY_BYTES:
        return _refused(413, f"A request has at most {wire.BODY_BYTES} bytes.")
    try:
        asked = msgspec.json.decode(request.body, type=wire.Ask)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _refused(400, "This is no request of clpjoin. Bring both to one release.")
    if asked.version != 1 or not 16 <= len(asked.nonce) <= 64 or len(asked.id) > 32:
        return _refused(400, "This request of clpjoin is not understood. Bring both to one release.")
    if wait_s := throttle.claim(request, _WHO):
        response = _refused(429, f"Too many failures from this address. Try again in {wait_s} s.")
        response["Retry-After"] = str(wait_s)
        return response
    try:
        answer = joining.exchange(asked=asked, address=throttle.client_address(request))
    except joining.RefusedError as error:
        return _refused(403, str(error))
    throttle.give_back(request, _WHO)
    return HttpResponse(msgspec.json.encode(answer), content_type="application/json")


def _refused(status: int, text: str) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)
