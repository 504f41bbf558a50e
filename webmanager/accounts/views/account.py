"""My account: password, second factor, sessions, tokens of the REST interface."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from webmanager import access, throttle
from webmanager.accounts import people, qr, sign_ins, totp
from webmanager.accounts.marks import open_with_first_password
from webmanager.accounts.models import ClusterRole, SignIn
from webmanager.accounts.views.common import actor
from webmanager.api import tokens as api_tokens


@never_cache
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    return _show(request)


def _show(request: HttpRequest, **more: Any) -> HttpResponse:
    single = ClusterRole.objects.filter(user=request.user).select_related("cluster")
    context = {
        "everywhere": access.role_of(request.user),
        "single": [(one.cluster.name, one.role) for one in single],
        "second_factor": people.has_second_factor(request.user),
        "sign_ins": [shown(one, request.session.session_key or "") for one in sign_ins.of(request.user)],
        "tokens": api_tokens.of(user=request.user),
        "token_days": settings.TOKEN_DAYS,
        "token_days_most": settings.TOKEN_DAYS_MOST,
    }
    return render(request, "accounts/account.html", {**context, **more})


def shown(one: SignIn, own: str) -> dict[str, Any]:
    """The session's key is its credential; a page gets a name for it that is worth nothing else."""
    return {"one": one, "name": name_of(one), "own": one.session_id == own}


def name_of(one: SignIn) -> str:
    return hashlib.sha256(f"openclp session {one.session_id}".encode()).hexdigest()[:24]


@open_with_first_password
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    name, wait_s = request.user.get_username(), 0
    form = PasswordChangeForm(request.user)
    if request.method == "POST":
        form = PasswordChangeForm(request.user, request.POST)
        # Whoever sits down at somebody's browser shall not guess the password here.
        if not (wait_s := throttle.claim(request, name)) and form.is_valid():
            return _changed(request, form)
    context = {"form": form, "first": people.must_change(request.user), "wait_s": wait_s}
    return render(request, "accounts/password.html", context, status=429 if wait_s else 200)


def _changed(request: HttpRequest, form: PasswordChangeForm) -> HttpResponse:
    throttle.give_back(request, request.user.get_username())
    user = form.save()
    update_session_auth_hash(request, user)
    sign_ins.note(request, user)
    people.changed_own_password(user=user, keep=request.session.session_key or "", actor=actor(request))
    messages.success(request, _("The password is changed. Other sessions of yours have ended."))
    return redirect("account")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "POST"])
def second_factor(request: HttpRequest) -> HttpResponse:
    user = request.user
    if people.has_second_factor(user):
        return _second_factor_off(request) if request.method == "POST" else redirect("account")
    secret, wrong, wait_s = people.begin_second_factor(user=user), False, 0
    if request.method == "POST" and not (wait_s := throttle.claim_code(user)):
        codes = people.confirm_second_factor(user=user, code=request.POST.get("code", "")[:16], actor=actor(request))
        if codes is not None:
            return render(request, "accounts/recovery_codes.html", {"codes": codes})
        wrong = True
    uri = totp.uri(secret, user.get_username(), request.get_host())
    context = {
        "secret": totp.shown(secret),
        "uri": uri,
        "picture": SafeString(qr.svg(uri)),  # made of numbers only
        "wrong": wrong,
        "wait_s": wait_s,
    }
    return render(request, "accounts/second_factor_on.html", context, status=429 if wait_s else 200)


def _second_factor_off(request: HttpRequest) -> HttpResponse:
    name = request.user.get_username()
    if throttle.claim(request, name):
        messages.error(request, _("Too many failures. Try again in five minutes."))
    elif request.user.check_password(request.POST.get("password", "")[:4096]):
        throttle.give_back(request, name)
        people.drop_second_factor(user=request.user, actor=actor(request))
        messages.success(request, _("Signing in needs the password alone again."))
    else:
        messages.error(request, _("The password is wrong; the second factor stays on."))
    return redirect("account")


@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    wanted = request.POST.get("session", "")
    for one in sign_ins.of(request.user):
        if hmac.compare_digest(name_of(one), wanted) and one.session_id != request.session.session_key:
            sign_ins.end(one, actor(request))
            messages.success(request, _("The session has ended."))
            break
    return redirect("account")


@never_cache
@require_POST
def tokens(request: HttpRequest) -> HttpResponse:
    """Makes or revokes one; a new one is on this one page only."""
    if key := request.POST.get("revoke", ""):
        if _is_uuid(key) and api_tokens.revoke(user=request.user, key=key):
            messages.success(request, _("The token is revoked."))
        return redirect("account")
    name, days = request.POST.get("name", "").strip()[:80], request.POST.get("days", "")
    count = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
    if not name or "\0" in name or not 0 < count <= settings.TOKEN_DAYS_MOST:
        problem = _("Give a name, and from 1 to %(most)d days.") % {"most": settings.TOKEN_DAYS_MOST}
        return _show(request, problem=problem, name=name)
    try:
        read_only = request.POST.get("read_only") == "1"
        row, token = api_tokens.make(user=request.user, name=name, days=count, read_only=read_only)
    except api_tokens.TooManyError:
        problem = _("You have %(most)d tokens; revoke one first.") % {"most": settings.TOKENS_PER_USER}
        return _show(request, problem=problem, name=name)
    return _show(request, made=row, token=token)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
