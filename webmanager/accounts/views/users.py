"""Users: who there is, with which roles, and what an administrator changes of that."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webmanager import selectors
from webmanager.accounts import people, sign_ins
from webmanager.accounts.models import ROLES
from webmanager.accounts.views import account
from webmanager.accounts.views.common import actor, administrator_or_403, get_user_or_404


@never_cache
@require_http_methods(["GET", "POST"])
def listing(request: HttpRequest) -> HttpResponse:
    administrator_or_403(request)
    context: dict[str, Any] = {}
    if request.method == "POST":
        context = _add(request)
    context |= {"people": people.listed(), "roles": ROLES, "sign_ins": _sign_ins(request)}
    return render(request, "accounts/users.html", context)


def _sign_ins(request: HttpRequest) -> list[dict[str, Any]]:
    return [account.shown(one, request.session.session_key or "") for one in sign_ins.everybody()[:200]]


def _add(request: HttpRequest) -> dict[str, Any]:
    """The password is on this one page only: nothing keeps it."""
    name = request.POST.get("name", "").strip()[:200]
    try:
        user, password = people.add(name=name, role=_role(request.POST.get("role", "")), actor=actor(request))
    except people.ProblemError as problem:
        return {"problem": str(problem), "name": name}
    return {"made": user, "password": password}


def _role(text: str) -> str:
    if text not in (*ROLES, ""):
        raise BadRequest(_("There is no such role."))
    return text


@never_cache
@require_GET
def show(request: HttpRequest, key: int) -> HttpResponse:
    administrator_or_403(request)
    return _show(request, get_user_or_404(key))


def _show(request: HttpRequest, user: Any, **more: Any) -> HttpResponse:
    has = people.roles(user)
    context = {
        "person": user,
        "everywhere": has["*"],
        "single": [(cluster.name, has.get(cluster.name, "")) for cluster in selectors.clusters()],
        "roles": ROLES,
        "second_factor": people.has_second_factor(user),
        "sign_ins": [account.shown(one, request.session.session_key or "") for one in sign_ins.of(user)],
        "own": user.pk == request.user.pk,
    }
    return render(request, "accounts/user.html", {**context, **more})


@never_cache
@require_POST
def act(request: HttpRequest, key: int) -> HttpResponse:
    administrator_or_403(request)
    user, what = get_user_or_404(key), request.POST.get("do", "")
    if what not in _ACTS:
        raise BadRequest(_("There is no such action."))
    try:
        return _ACTS[what](request, user)
    except people.ProblemError as problem:
        messages.error(request, str(problem))
    return redirect("user", key=key)


def _roles(request: HttpRequest, user: Any) -> HttpResponse:
    names = [cluster.name for cluster in selectors.clusters()]
    single = {name: _role(request.POST.get(f"on:{name}", "")) for name in names}
    people.set_roles(
        user=user, everywhere=_role(request.POST.get("everywhere", "")), single=single, actor=actor(request)
    )
    messages.success(request, _("The roles are stored and count at once."))
    return redirect("user", key=user.pk)


def _password(request: HttpRequest, user: Any) -> HttpResponse:
    return _show(request, user, password=people.reset_password(user=user, actor=actor(request)))


def _disable(request: HttpRequest, user: Any) -> HttpResponse:
    people.set_active(user=user, active=False, actor=actor(request))
    messages.success(request, _("This user cannot sign in any more; all sessions have ended."))
    return redirect("user", key=user.pk)


def _enable(request: HttpRequest, user: Any) -> HttpResponse:
    people.set_active(user=user, active=True, actor=actor(request))
    messages.success(request, _("This user may sign in again."))
    return redirect("user", key=user.pk)


def _drop_second_factor(request: HttpRequest, user: Any) -> HttpResponse:
    people.drop_second_factor(user=user, actor=actor(request))
    messages.success(request, _("Signing in needs the password alone again."))
    return redirect("user", key=user.pk)


def _end_session(request: HttpRequest, user: Any) -> HttpResponse:
    wanted = request.POST.get("session", "")
    for one in sign_ins.of(user):
        if wanted == "all" or hmac.compare_digest(account.name_of(one), wanted):
            sign_ins.end(one, actor(request))
    messages.success(request, _("The session has ended."))
    return redirect("user", key=user.pk)


def _remove(request: HttpRequest, user: Any) -> HttpResponse:
    if request.POST.get("name", "") != user.get_username():
        raise people.ProblemError(_("Nothing was removed: the name that you typed is another one."))
    people.remove(user=user, actor=actor(request))
    messages.success(request, _("The user is removed. What it did stays in the audit."))
    return redirect("users")


_ACTS: dict[str, Callable[[HttpRequest, Any], HttpResponse]] = {
    "roles": _roles,
    "password": _password,
    "disable": _disable,
    "enable": _enable,
    "drop-second-factor": _drop_second_factor,
    "end-session": _end_session,
    "remove": _remove,
}
